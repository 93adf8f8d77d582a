# SPDX-License-Identifier: Apache-2.0
"""The command lines of test_vsctl.py, for which vsctl must give the same output and status as Debian's ovs-vsctl.

Each line runs with Debian's ovs-vsctl on one switch and with vsctl on another; with "!" before it, both run on the same
switch and must print exactly the same, including UUIDs. Transactions build on earlier ones.
Lines with intended differences (docs/compatibility.md) are not here.
"""
LINES = """
init
add-br br0
add-br br0
--may-exist add-br br0
add-br br1 -- add-port br1 i0 -- set Interface i0 type=internal
--real list-br
br-exists br0
br-exists nope
add-port br0 i1 tag=20 -- set Interface i1 type=internal
add-port br0 i1
--may-exist add-port br0 i1
--may-exist add-port br1 i1
add-port br9 i9
add-port br0 br1
add-br i1
add-port br0 i2 trunks=1-5,9 vlan_mode=trunk -- set Interface i2 type=internal external_ids:a=b
! list-ports br0
! list-ifaces br0
list-ports br9
port-to-br i1
port-to-br br0
iface-to-br i1
iface-to-br nope
br-to-vlan br0
br-to-parent br0
br-set-external-id br0 a 1
br-set-external-id br0 b 2
! br-get-external-id br0
br-get-external-id br0 a
br-set-external-id br0 a
br-get-external-id br0
add-br fk br0 10
add-br fk br0 10
--may-exist add-br fk br0 10
--may-exist add-br fk br0 11
--may-exist add-br fk
--may-exist add-br br0 br1 3
add-br f2 br0 10
add-br f2 fk 12
add-br f2 br9 12
add-br f2 br0 4096
add-br f2 br0
list-br
--fake list-br
--real --fake list-br
br-to-vlan fk
br-to-parent fk
add-port fk i3 -- set Interface i3 type=internal
! list-ports fk
! list-ports br0
port-to-br i3
get Port i3 tag
br-set-external-id fk x y
br-get-external-id fk
get Port fk external_ids fake_bridge tag
get-controller fk
set-fail-mode fk secure
del-port br0 i3
del-port fk i3
del-port fk
del-br fk
del-br fk
--if-exists del-br fk
--if-exists del-port nope
--if-exists del-port br9 nope
del-port nope
--if-exists del-port br1 i1
del-port br0
add-bond br0 b0 e1 e2
add-bond br0 b0 e1 e2
--may-exist add-bond br0 b0 e2 e1
--may-exist add-bond br0 b0 e2 e3
--fake-iface add-bond br0 b1 e4 e5 lacp=active
get Port b1 bond_fake_iface lacp
add-bond-iface b0 e6
add-bond-iface b0 e6
--may-exist add-bond-iface b0 e4
del-bond-iface b0 e6
--if-exists del-bond-iface b0 e6
del-bond-iface e2
del-bond-iface e1
! list-ports br0
list-ifaces br0
--may-exist add-port br0 b1
--with-iface del-port br0 e4
--if-exists --with-iface del-port e99
--with-iface del-port e99
del-port b0
set-controller br0 tcp:127.0.0.1:6653 tcp:[::1]:6653
get-controller br0
--inactivity-probe=5000 set-controller br0 tcp:127.0.0.1:6654
get Controller br0 target inactivity_probe
set-fail-mode br0 secure
get-fail-mode br0
set-fail-mode br0 open
! show
del-fail-mode br0
del-controller br0
get-controller br0
! list Controller
set-ssl /k /c /ca
--bootstrap set-ssl /k2 /c2 /ca2
get-ssl
del-ssl
get-ssl
set-ssl /k /c
add-aa-mapping br0 100 20
add-aa-mapping br0 x 20
get-aa-mapping br0
del-aa-mapping br0 100 20
get-aa-mapping br0
add-zone-tp netdev zone=1 icmp_first=30
list-zone-tp netdev
list-dp-cap netdev
-- --id=@d create Datapath datapath_version=1 capabilities:x=true capabilities:y=2 -- set Open_vSwitch . datapaths:netdev=@d
add-zone-tp netdev zone=1 icmp_first=30 icmp_reply=60
add-zone-tp netdev zone=1 icmp_first=30
--may-exist add-zone-tp netdev zone=1 icmp_first=30
add-zone-tp netdev zone=2
add-zone-tp netdev zone=3 bogus=3
list-zone-tp netdev
list-dp-cap netdev
del-zone-tp netdev zone=1
del-zone-tp netdev zone=1
--if-exists del-zone-tp netdev zone=1
clear Open_vSwitch . datapaths
! --columns=name,tag,trunks,external_ids list Port
! --columns=name,tag,trunks list port i2
! -f table --columns=name,tag,trunks list Port i2 i1
! -f table --no-headings --columns=name,trunks list Port i2
! -f table --max-column-width=3 --columns=name,trunks,fake_bridge list Port i2
! -f csv --columns=name,trunks list Port i2
! -f html --columns=_uuid,name,interfaces,trunks list Port i2
! -f html -d bare --no-headings --columns=name,trunks list Port i2
! -f json --columns=_uuid,name,tag,trunks,external_ids list Port i2
! -f json --pretty --columns=name,tag,trunks list Port i2
! -d json --columns=name,trunks list Port i2
! -d bare --columns=name,trunks list Port i2
! --bare list Port i2
! --oneline --columns=name,tag list Port i2
! --columns=name list Port nope
! --if-exists --columns=name list Port nope i1
! list nosuch
! list o
! --columns=t list Port
! -f bogus list Port
! -f table --columns=name find Port tag=99
! -f html --columns=name find Port tag=99
! --columns=name find Port tag=20
! --columns=name find Port trunks{>=}1-5
! --columns=name find Port trunks{=}1,2,3,4,5,9
! --columns=name find Port trunks{<}1-9
! --columns=name find Port trunks{in}1-9
! --columns=name find Port trunks{not-in}4
! --columns=name find Port tag!=20
! --columns=name find Port tag>10
! --columns=name find Port tag<=10
! --columns=name find Port tag=[]
! --columns=name find Port tag
! --columns=name find Bridge external_ids:b=2
! --columns=name find Bridge external_ids:none!=1
! --columns=name find Bridge external_ids:none{!=}1
! --columns=name find Interface type=
! get Bridge br0
! get Bridge br0 name external_ids external_ids:b
! get Bridge br0 external_ids:none
! --if-exists get Bridge br0 external_ids:none
! --if-exists get Bridge nope name
! get Bridge nope name
! get Bridge br0 name:x
! --if-exists --id=@x get Bridge br0 name
! --id=x get Bridge br0 name
! get open . external_ids
--id=@x get Bridge br0 -- set Bridge br0 external_ids:me=5
set Bridge nope datapath_type=x
--if-exists set Bridge nope datapath_type=x
set Bridge br0 name=x
set Bridge br0 _uuid=5
set Bridge br0 external_ids=
set Bridge br0 fail_mode=open
set Bridge br0 stp_enable=maybe
set Bridge br0 other_config:mac-aging-time="60"
get Bridge br0 other_config
set Port i2 trunks=4096
set Port i2 tag=1,2
set Port i2 trunks=3,3
set Port i2 trunks=[3
set Port i2 trunks=[3,1,2]
add Port i2 trunks 7 8-9
remove Port i2 trunks 7 77
get Port i2 trunks
add Port i2 tag 5
add Port i2 tag 6
remove Port i2 tag 5
get Port i2 tag
add Bridge br0 external_ids k=v
add Bridge br0 external_ids zz
remove Bridge br0 external_ids b k=other
get Bridge br0 external_ids
clear Port i2 trunks vlan_mode
clear Port i2 interfaces
clear Port nope tag
--if-exists clear Port nope tag
set Interface i2 options:a='"x y"' options:b='""' options:c=true options:d=1a options:e=a/b
get Interface i2 options
set Port i2 qos=@q -- --id=@q create qos type=linux-htb other-config:max-rate=1000000 queues:0=@q0 queues=1=@q1,0=@q0 -- --id=@q0 create queue other-config:min-rate=1 -- --id=@q1 create queue dscp=3
get QoS i2 type other_config
get QoS nope type
set Port i2 qos=@nope
set Port i2 qos=abc
destroy QoS i2 -- clear Port i2 qos
--all destroy Queue
--all destroy Queue x
destroy Queue
destroy Queue nope
--if-exists destroy Queue nope
! list Queue
create Mirror name=x
! list Mirror
set Bridge br0 mirrors=@m -- --id=@m create Mirror name=m0 select_all=true output_port=@p -- --id=@p get Port i2
get Mirror m0 select_all
destroy Mirror m0
remove Bridge br0 mirrors @m -- --id=@m get Mirror m0
--id=@m get Mirror m0 -- remove Bridge br0 mirrors @m
--id=@f create Flow_Table name=t0 flow_limit=4 -- set Bridge br0 flow_tables:5=@f
get Flow_Table t0 flow_limit
--id=@i create IPFIX sampling=4 targets='"1.2.3.4:5"' -- set Bridge br0 ipfix=@i
get IPFIX br0 sampling targets
emer-reset
get Bridge br0 ipfix other_config
comment hello world
wait-until Bridge br0
wait-until Bridge br0 name=br0 -- list-br
-t 1 wait-until Bridge nope
-t 1 wait-until Bridge br0 fail_mode=secure
wait-until nosuch x
--oneline list-br -- get Bridge br0 name external_ids -- set Bridge br0 external_ids:z=1
--no-wait --dry-run add-br dry -- list-br
list-br -- list-br --
list-br -- bogus
bogus
add-br
add-br a b c d
list-br x
--if del-br nope
--time=5 --onel list-br
--col=name list Port i2
--no list-br
--no-syslog -vconsole:off --verbose=vsctl:console:off list-br
--timeout=-5 list-br
-t abc list-br
--may-exist list-br
list-br --format=table
del-br br0 -- del-br br1
list-br
"""
