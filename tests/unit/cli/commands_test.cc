// SPDX-License-Identifier: Apache-2.0
// ovs-vsctl's commands beyond bridges, ports and records, with the real database engine.
#include "tests/unit/cli/fake_switch.h"

namespace heddle::cli {
namespace {

using VsctlMore = FakeSwitch;

TEST_F(VsctlMore, AFakeBridgeIsAVlanOfItsParent) {
  ok("add-br br0 -- add-br fk br0 10 -- add-port fk a -- add-port br0 b tag=10 -- add-port br0 c");
  EXPECT_EQ(ok("list-br -- --real list-br -- --fake list-br"), "br0\nfk\nbr0\nfk\n");
  EXPECT_EQ(ok("br-to-vlan fk -- br-to-parent fk -- br-to-vlan br0"), "10\nbr0\n0\n");
  EXPECT_EQ(ok("list-ports fk"), "a\nb\n");
  EXPECT_EQ(ok("list-ports br0 -- list-ifaces br0"), "c\nc\n");
  EXPECT_EQ(ok("port-to-br b -- get Port a tag -- get Interface fk type"), "fk\n10\ninternal\n");
  ok("--may-exist add-br fk br0 10 -- br-set-external-id fk x y");
  EXPECT_EQ(ok("br-get-external-id fk -- get Port fk external_ids"), "x=y\n{fake-bridge-x=y}\n");
  refuses("--may-exist add-br fk br0 11", "the fake bridge for VLAN 10 of br0");
  refuses("--may-exist add-br fk", "the fake bridge for VLAN 10 of br0");
  refuses("--may-exist add-br br0 br1 3", "no fake bridge");
  refuses("add-br f2 br0 10", "has a fake bridge for VLAN 10 already: fk");
  refuses("add-br f2 fk 11", "itself a fake bridge");
  refuses("add-br f2 br0 4096", "between 0 and 4095");
  refuses("add-br f2 br0", "the VLAN is missing");
  refuses("set-fail-mode fk secure", "use br0");
  refuses("del-port br0 a", "it is a port of bridge fk");
  refuses("del-port fk", "del-br fk");
  ok("del-br fk");
  EXPECT_EQ(ok("list-ports br0 -- list-br"), "c\nbr0\n");
  ok("add-br fk br0 10 -- add-port fk a -- del-br br0");
  EXPECT_EQ(ok("list-br") + ok("list Port") + ok("list Interface"), "");
}

TEST_F(VsctlMore, ABondHasSeveralInterfaces) {
  ok("add-br br0 -- add-bond br0 b0 e1 e2 tag=5");
  EXPECT_EQ(ok("list-ports br0 -- list-ifaces br0 -- get Port b0 tag"), "b0\ne1\ne2\n5\n");
  ok("--may-exist add-bond br0 b0 e2 e1");
  refuses("--may-exist add-bond br0 b0 e2 e3", "with interface(s) e1, e2");
  refuses("--may-exist add-port br0 b0", "with interface(s) e1, e2");
  refuses("add-bond br0 b1 e2 e3", "an interface named e2 already exists in port b0");
  refuses("add-bond br0 b1 e3 tag=1", "1 given");
  refuses("add-bond br0 b1 e3 e3", "e3 is given twice");
  ok("add-bond-iface b0 e3 -- --may-exist add-bond-iface b0 e3 -- --fake-iface add-bond br0 b1 e4 e5");
  EXPECT_EQ(ok("get Port b1 bond_fake_iface"), "true\n");
  refuses("--may-exist add-bond-iface b0 e4", "e4 is in port b1");
  refuses("del-bond-iface b1 e3", "it is in port b0");
  ok("del-bond-iface b0 e3 -- del-bond-iface e2 -- --if-exists del-bond-iface e9");
  refuses("del-bond-iface e1", "the last interface of port b0");
  ok("--with-iface del-port br0 e4 -- --if-exists --with-iface del-port e9");
  refuses("--with-iface del-port e9", "no port or interface named e9");
  EXPECT_EQ(ok("list-ports br0 -- list-ifaces br0"), "b0\ne1\n");
}

TEST_F(VsctlMore, SettingTargetsReplacesAll) {
  ok("add-br br0 -- set-controller br0 tcp:1.2.3.4 ssl:[::1]:6653 -- set-fail-mode br0 secure");
  EXPECT_EQ(ok("get-controller br0 -- get-fail-mode br0"), "ssl:[::1]:6653\ntcp:1.2.3.4\nsecure\n");
  ok("--inactivity-probe=5000 set-controller br0 tcp:5.6.7.8");
  EXPECT_EQ(ok("get-controller br0 -- get Controller br0 inactivity_probe"), "tcp:5.6.7.8\n5000\n");
  refuses("--inactivity-probe=soon set-controller br0 tcp:1.2.3.4", "milliseconds");
  refuses("set-fail-mode br0 open", "\"standalone\" or \"secure\"");
  ok("del-controller br0 -- del-fail-mode br0");
  EXPECT_EQ(ok("get-controller br0 -- get-fail-mode br0 -- list Controller"), "");
  EXPECT_EQ(vsctl("set-manager what").err,
            "vsctl: warning: target \"what\" is possibly wrong: it does not begin with "
            "tcp:, ssl:, unix:, ptcp:, pssl: or punix:\n");
  ok("set-manager ptcp:6640 ptcp:6641 -- set-manager ptcp:6640");
  EXPECT_EQ(ok("get-manager -- list Manager").substr(0, 10), "ptcp:6640\n");
  ok("del-manager");
  EXPECT_EQ(ok("get-manager -- list Manager"), "");
  ok("set-ssl /k /c /ca");
  ok("--bootstrap set-ssl /k2 /c2 /ca2");
  EXPECT_EQ(ok("get-ssl"), "Private key: /k2\nCertificate: /c2\nCA Certificate: /ca2\nBootstrap: true\n");
  ok("del-ssl");
  EXPECT_EQ(ok("get-ssl -- list SSL"), "");
}

TEST_F(VsctlMore, ZonesAndAutoAttachAreStored) {
  ok("add-br br0 -- add-aa-mapping br0 100 20 -- add-aa-mapping br0 7 8 -- del-aa-mapping br0 7 9");
  EXPECT_EQ(ok("get-aa-mapping br0 -- del-aa-mapping br0 7 8 -- get-aa-mapping br0"), "7 8\n100 20\n100 20\n");
  refuses("add-aa-mapping br0 16777216 1", "not a service identifier (I-SID), 0 to 16777215");
  refuses("list-zone-tp netdev", "datapath netdev does not exist");
  ok("set Open_vSwitch . datapaths:netdev=@d -- --id=@d create Datapath capabilities:b=2 capabilities:a=x");
  ok("add-zone-tp netdev zone=9 udp_first=3 -- add-zone-tp netdev zone=1 icmp_first=30 icmp_reply=60");
  EXPECT_EQ(ok("list-zone-tp netdev -- list-dp-cap netdev"),
            "Zone:1, Timeout Policies: icmp_first=30 icmp_reply=60\nZone:9, Timeout Policies: udp_first=3\na=x b=2\n");
  ok("--may-exist add-zone-tp netdev zone=9 udp_first=4");
  EXPECT_NE(ok("list-zone-tp netdev").find("Zone:9, Timeout Policies: udp_first=4\n"), std::string::npos);
  refuses("add-zone-tp netdev zone=9 udp_first=4", "zone id 9 already exists");
  refuses("add-zone-tp netdev 9 udp_first=4", "it takes zone=ID");
  refuses("add-zone-tp netdev zone=65536 udp_first=4", "not a zone");
  ok("del-zone-tp netdev zone=9 -- --if-exists del-zone-tp netdev zone=9");
  refuses("del-zone-tp netdev zone=9", "zone id 9 does not exist");
}

TEST_F(VsctlMore, ARenamedRecordIsFoundByItsNewName) {
  ok("set-manager ptcp:1 ptcp:2");
  EXPECT_EQ(ok("set Manager ptcp:1 target=ptcp:3 -- get Manager ptcp:3 target"), "\"ptcp:3\"\n");
  refuses("set Manager ptcp:2 target=ptcp:4 -- get Manager ptcp:2 target", "no row \"ptcp:2\" in table Manager");
  ok("add-br br0 -- del-br br0 -- add-br br0 -- add-port br0 a -- del-port a -- add-port br0 a");
  EXPECT_EQ(ok("list-ports br0"), "a\n");
  const auto uuid = ok("create QoS type=x").substr(0, 36);
  refuses("--id=" + uuid + " create QoS type=y", "there is a record " + uuid + " already");
  refuses("--id=word create QoS type=y", "begins with \"@\"");
}

TEST_F(VsctlMore, OutputFormatsHtmlAndJson) {
  ok("add-br br0 -- set Bridge br0 external_ids:a='<&>'");
  const auto uuid = ok("get Bridge br0 _uuid").substr(0, 36);
  EXPECT_EQ(ok("-f html --columns=_uuid,name list Bridge"),
            "<table border=1>\n  <tr>\n    <th>_uuid</th>\n    <th>name</th>\n  </tr>\n  <tr>\n    <td><a name=\"" +
                uuid + "\">" + uuid.substr(0, 8) + "</a></td>\n    <td>br0</td>\n  </tr>\n</table>\n");
  EXPECT_EQ(ok("-f html --no-headings --columns=external_ids list Bridge"),
            "<table border=1>\n  <tr>\n    <td>{a=&quot;'&lt;&amp;&gt;'&quot;}</td>\n  </tr>\n</table>\n");
  EXPECT_EQ(ok("-f json --pretty --columns=name list Bridge"),
            "{\n  \"data\": [\n    [\n      \"br0\"]],\n  \"headings\": [\n    \"name\"]}\n");
  EXPECT_EQ(ok("-f table --max-column-width=2 --columns=name,datapath_type list Bridge"),
            "name datapath_type\n---- -------------\nbr0  \"\"\n");
  EXPECT_EQ(ok("-f table --no-headings --max-column-width=2 --columns=name list Bridge"), "br\n");
  EXPECT_EQ(ok("--oneline --columns=name,datapath_type list Bridge"),
            "name                : br0\ndatapath_type       : \"\"\n");
}

TEST_F(VsctlMore, ColumnsWithoutEffectAreReported) {
  ok("add-br br0");
  const auto said = vsctl("set Bridge br0 stp_enable=true external_ids:a=b");
  EXPECT_EQ(said.code, 0);
  EXPECT_EQ(said.err, "vsctl: warning: Bridge br0: stored, but this switch does not act on stp_enable\n");
  EXPECT_NE(ok("show").find("        no_effect: stp_enable other_config:stp-priority\n"), std::string::npos);
  ok("set Bridge br0 external_ids:a=c");  // reported only to the run that set the column
  ok("set Bridge br0 stp_enable=false");
  EXPECT_EQ(ok("show").find("no_effect"), std::string::npos);
  const auto vain = vsctl("destroy Port br0");
  EXPECT_EQ(vain.code, 0);
  EXPECT_NE(vain.err.find("cannot be destroyed"), std::string::npos) << vain.err;
}

TEST_F(VsctlMore, CalledAsOvsVsctl) {
  const auto caller = Caller::of("/usr/bin/ovs-vsctl");
  ASSERT_TRUE(caller.as_ovs);
  EXPECT_FALSE(Caller::of("/usr/sbin/vsctl").as_ovs);
  EXPECT_EQ(vsctl("--version", caller).out.substr(0, 43), "ovs-vsctl (Open vSwitch) 3.1.0\nDB Schema 8.");
  ok("add-br br0");
  const auto fault = vsctl("add-port br0 missing1", caller);
  EXPECT_EQ(fault.code, 0);
  EXPECT_EQ(fault.err.substr(0, 49), "ovs-vsctl: interface missing1: no such device\n  T");
  EXPECT_EQ(vsctl("list-ports br9", caller).code, 1);
  EXPECT_EQ(vsctl("-t 1 wait-until Bridge br9", caller).code, kExitAlarm);
}

}  // namespace
}  // namespace heddle::cli
