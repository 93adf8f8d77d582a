// SPDX-License-Identifier: Apache-2.0
#include "cli/help.h"

#include "cli/options.h"

namespace heddle::cli {
namespace {

constexpr const char* kBefore = R"(vsctl - look at and change a Heddle virtual switch

Usage:
  vsctl [OPTION]... [--] [COMMAND-OPTION]... COMMAND [ARG]... [-- [COMMAND-OPTION]... COMMAND [ARG]...]...

The switch is described by a database inside vswitchd, and vsctl edits that description. A bridge is a switch. It has
ports; a port is where VLANs are set, and holds an interface. An interface is the device behind it: the netdev of its
name, an "internal" device that the switch makes, or a VXLAN tunnel. Every bridge has a port and an internal interface
of its own name, by which the host itself takes part.

All commands of one line, parted by "--", become one transaction: all of it happens, or nothing. vsctl then waits until
the switch has applied it. If an interface could not be set up, vsctl says why and exits with 1; the description stays
as you asked for it, and takes effect once the cause is gone (a netdev that appears later, say).

A tour:
  vsctl add-br br0                           a switch, and a device br0 that takes addresses like any other
  vsctl add-port br0 vm1                     the netdev vm1 as a trunk port, which carries every VLAN
  vsctl add-port br0 vm2 tag=20              vm2 as an access port of VLAN 20
  vsctl add-port br0 vx10 -- set Interface vx10 type=vxlan options:remote_ip=192.0.2.2 options:key=10
                                             a tunnel to the VTEP 192.0.2.2, VNI 10
  vsctl show                                 what there is, and what is wrong with it
  vsctl fdb-show br0                         which MAC address is where
  vsctl list Interface vm1                   all about one interface, counters too
  vsctl drops                                which packets were dropped, where and why

Bridges:
  init                                       make sure that the database has its first record
  show                                       the whole configuration as a tree, with errors; no_effect: what is set and
                                             stored, and that this switch does not act on
  emer-reset                                 no controllers, managers, TLS files, mirrors, sampling and policing any
                                             more, nor other_config of ports and (but hwaddr) of bridges
  [--may-exist] add-br BRIDGE                a new bridge; with --may-exist, an existing one is fine
  [--may-exist] add-br BRIDGE PARENT VLAN    a fake bridge: a name for one VLAN of bridge PARENT, with an interface for
                                             the host. Ports added to it are access ports of that VLAN
  [--if-exists] del-br BRIDGE                remove it and all its ports, and the fake bridges that it is the parent of
  [--real | --fake] list-br                  bridges, one a line
  br-exists BRIDGE                           exit code 0 if there is such a bridge, 2 if not
  br-to-vlan BRIDGE                          a fake bridge's VLAN; of others, 0
  br-to-parent BRIDGE                        a fake bridge's parent; of others, BRIDGE
  br-set-external-id BRIDGE KEY [VALUE]      note something of your own on a bridge; without VALUE, forget it
  br-get-external-id BRIDGE [KEY]            print it; without KEY, all of them

Ports and interfaces:
  list-ports BRIDGE                          its ports but its own, one a line
  list-ifaces BRIDGE                         its interfaces but its own
  [--may-exist] add-port BRIDGE PORT [COLUMN[:KEY]=VALUE]...
                                             a port with an interface of that name; COLUMNs are those of table Port,
                                             e.g. tag=20, trunks=10,20-30, vlan_mode=native-untagged. With --may-exist a
                                             port that BRIDGE has already stays as it is
  [--if-exists] [--with-iface] del-port [BRIDGE] PORT
                                             remove it; --with-iface: PORT may be the name of an interface in it
  port-to-br PORT, iface-to-br INTERFACE     the bridge it is on
  [--may-exist] [--fake-iface] add-bond BRIDGE PORT INTERFACE INTERFACE... [COLUMN[:KEY]=VALUE]...
  [--may-exist] add-bond-iface PORT INTERFACE
  [--if-exists] del-bond-iface [PORT] INTERFACE
                                             a port of several interfaces: stored, and an error of each of them, for
                                             this switch has no bonds yet

Remotes, and what else is kept for other programs' sake (controllers, auto-attach and zones have no effect yet):
  get-controller BRIDGE, del-controller BRIDGE
  [--inactivity-probe=MS] set-controller BRIDGE TARGET...
                                             OpenFlow controllers: tcp:HOST[:PORT], ssl:.., ptcp:.., pssl:.., unix:PATH
  get-fail-mode BRIDGE, del-fail-mode BRIDGE, set-fail-mode BRIDGE standalone|secure
  get-manager, del-manager, [--inactivity-probe=MS] set-manager TARGET...
                                             OVSDB managers, in the same words
  get-reflector, del-reflector, set-reflector TARGET...
                                             where VTEPs tell each other their stations: tcp:.., ssl:.., unix:PATH
  get-evpn, del-evpn, set-evpn KEY=VALUE...  BGP EVPN by FRR: asn=, neighbors=ADDRESS[,ADDRESS]..., remote-asn=,
                                             vtep-ip=, hold-time= (seconds); frr=FOLDER for an FRR of your own
  get-ssl, del-ssl, [--bootstrap] set-ssl PRIVATE-KEY CERTIFICATE CA-CERT
                                             the files for TLS
  add-aa-mapping BRIDGE I-SID VLAN, del-aa-mapping BRIDGE I-SID VLAN, get-aa-mapping BRIDGE
                                             auto-attach (LLDP)
  [--may-exist] add-zone-tp DATAPATH zone=ID TIMEOUT=SECS..., [--if-exists] del-zone-tp DATAPATH zone=ID
  list-zone-tp DATAPATH, list-dp-cap DATAPATH
                                             connection tracking zones and capabilities of a datapath

Records of any table (Open_vSwitch, Bridge, Port, Interface, ...):
  [--if-exists] [--columns=A,B] list TABLE [RECORD]...
                                             all columns of all records, or of those named
  [--columns=A,B] find TABLE [CONDITION]...  those that meet every CONDITION
  [--if-exists] [--id=@NAME] get TABLE RECORD [COLUMN[:KEY]]...
                                             values, one a line; --id lets later commands call the record @NAME
  [--if-exists] set TABLE RECORD COLUMN[:KEY]=VALUE...
  [--if-exists] add TABLE RECORD COLUMN [KEY=]VALUE...
                                             put members into a set or map
  [--if-exists] remove TABLE RECORD COLUMN KEY|VALUE|KEY=VALUE...
                                             take members out of a set or map
  [--if-exists] clear TABLE RECORD COLUMN... make columns empty
  [--id=@NAME | --id=UUID] create TABLE [COLUMN[:KEY]=VALUE]...
                                             a new record; prints its UUID. What no other record refers to is dropped
                                             at once: set a column of one to @NAME in the same line
  [--if-exists] destroy TABLE RECORD...      remove records; --all destroy TABLE: every one. Only of tables whose records
                                             stand alone (QoS, Queue); others go with the last reference to them
  wait-until TABLE RECORD [CONDITION]...     wait until there is such a record and it meets every CONDITION
  comment TEXT...                            put TEXT into the database's log

  TABLE and COLUMN may be shortened while they stay unambiguous; case does not matter, and - is _.
  RECORD is a name, a UUID or its beginning (4 digits or more), or . for the only record of a table.
  VALUE is a number, true or false, a word, or "a JSON string" where a word will not do (quote it for the shell too);
  a set is a,b,c or [a,b,c], of integers also 1-5,9; a map k=v,k2=v2 or {k=v,k2=v2}; [] and {} are empty.
  CONDITION is COLUMN[:KEY] OPERATOR VALUE in one word. OPERATOR: = != < > <= >=, or for sets {=} {!=} {<} {>} {<=}
  {>=} (the same, different, subset, superset), {in} (as {<=}), {not-in} (no member in common). A record whose map
  lacks KEY never meets the former; for the latter it holds the empty set.

The running switch (these ask the daemon, after all changes of the same line):
  fdb-show BRIDGE                            forwarding database: port, VLAN, MAC, age, remote VTEP, and the origin
                                             of an entry that was not learned
  fdb-stats BRIDGE                           its counters: entries, learned, moved, expired, evicted, refused
  fdb-flush [BRIDGE]                         remove the learned entries
  fdb-add BRIDGE PORT VLAN MAC [REMOTE]      a static entry, which neither ages nor moves; for a multipoint tunnel port
                                             REMOTE is the address of the VTEP behind which MAC is
  fdb-del BRIDGE VLAN MAC                    remove a static or learned entry
  drops [PORT]                               dropped packets by port and reason
  port-stats [PORT]                          packets and bytes by port
  qos-show PORT                              limits and counters of a port's queues
  vtep-show [BRIDGE]                         networks that a reflector or EVPN has charge of: their state, members, stations
  clients-show                               who is connected by which socket; who was refused or cut off
  version                                    the daemon's version
  exit [--cleanup]                           stop the daemon; with --cleanup nothing of it goes on forwarding

)";

constexpr const char* kAfter = R"(
Exit codes:
  0  done, and applied by the switch unless --no-wait was given
  1  an error; what was wrong is on stderr. Also: the time of --timeout was over, or an interface could not be set up
  2  br-exists: there is no such bridge
Called by the name ovs-vsctl, it does as ovs-vsctl(8) would: 0 although an interface could not be set up (stderr says it
all the same), death by SIGALRM when the time of --timeout is over, and a --version that names Open vSwitch.

More examples:
  vsctl --may-exist add-br br0 -- --may-exist add-port br0 vm1 -- set Port vm1 tag=10
  vsctl set Port vm1 vlan_mode=trunk trunks=10,20,30 -- clear Port vm1 tag
  vsctl set Bridge br0 other_config:mac-aging-time=60
  vsctl --columns=name,error find Interface 'error!=[]'
  vsctl --format=json list Port
  vsctl --timeout=10 wait-until Interface vm1 link_state=up
  vsctl del-port br0 vx10

Files:
  /run/vswitch/db.sock                       the database (OVSDB, RFC 7047)
  /run/vswitch/vswitchd.PID.ctl              the daemon's control socket
  /run/vswitch/vswitchd.pid                  PID
)";

}  // namespace

std::string help_text() { return kBefore + options_help() + kAfter; }

}  // namespace heddle::cli
