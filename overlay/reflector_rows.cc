// SPDX-License-Identifier: Apache-2.0
#include "overlay/reflector_rows.h"

#include "base/limits.h"

namespace heddle::overlay {
namespace {

std::string text(const Json& row, const char* column) {
  const auto it = row.find(column);
  return it != row.end() && it->is_string() ? it->get<std::string>() : std::string();
}

bool flag(const Json& row, const char* column) {
  const auto it = row.find(column);
  return it != row.end() && it->is_boolean() && it->get<bool>();
}

std::optional<Vni> vni_of(const Json& row) {
  const auto it = row.find("vni");
  if (it == row.end() || !it->is_number_integer()) return std::nullopt;
  const auto vni = it->get<std::int64_t>();
  if (vni < 0 || vni > static_cast<std::int64_t>(limits::kVniMax)) return std::nullopt;
  return static_cast<Vni>(vni);
}

std::optional<IpAddr> host_address(const Json& row) {
  const auto ip = IpAddr::parse(text(row, "ip"));
  if (!ip || ip->is_any() || ip->is_multicast() || ip->is_link_local_v6()) return std::nullopt;
  return ip;
}

Json equals(const char* column, Json value) { return Json::array({column, "==", std::move(value)}); }

void remove(Json& operations, const char* table, Json where) {
  operations.push_back({{"op", "delete"}, {"table", table}, {"where", std::move(where)}});
}

void insert(Json& operations, const char* table, Json row) {
  operations.push_back({{"op", "insert"}, {"table", table}, {"row", std::move(row)}});
}

}  // namespace

Json to_json(const MemberRow& row) {
  return {{"vni", row.vni}, {"vtep", row.vtep}, {"ip", row.ip.to_string()}, {"flood", row.flood}};
}

Json to_json(const MacRow& row) {
  return {{"vni", row.vni},
          {"mac", row.mac.to_string()},
          {"vtep", row.vtep},
          {"ip", row.ip.to_string()},
          {"fixed", row.fixed}};
}

std::optional<MemberRow> member_row(const Json& row) {
  const auto vni = vni_of(row);
  const auto ip = host_address(row);
  const std::string vtep = text(row, "vtep");
  if (!vni || !ip || vtep.empty()) return std::nullopt;
  return MemberRow{*vni, vtep, *ip, flag(row, "flood")};
}

std::optional<MacRow> mac_row(const Json& row) {
  const auto vni = vni_of(row);
  const auto ip = host_address(row);
  const auto mac = MacAddr::parse(text(row, "mac"));
  const std::string vtep = text(row, "vtep");
  if (!vni || !ip || !mac || vtep.empty() || mac->is_multicast() || mac->is_zero()) return std::nullopt;
  return MacRow{*vni, *mac, vtep, *ip, flag(row, "fixed")};
}

void put_vtep(Json& operations, const std::string& name, const std::optional<IpAddr>& ip, const std::string& boot,
              std::int64_t heartbeat) {
  remove(operations, "Vtep", Json::array({equals("name", name)}));
  Json ips = Json::array({"set", Json::array()});
  if (ip) ips = ip->to_string();
  insert(operations, "Vtep", {{"name", name}, {"ips", ips}, {"boot", boot}, {"heartbeat", heartbeat}});
}

void beat(Json& operations, const std::string& name, std::int64_t heartbeat) {
  operations.push_back({{"op", "update"},
                        {"table", "Vtep"},
                        {"where", Json::array({equals("name", name)})},
                        {"row", {{"heartbeat", heartbeat}}}});
}

void put_member(Json& operations, const MemberRow& row) {
  remove_member(operations, row.vni, row.vtep);
  insert(operations, "Member", to_json(row));
}

void remove_member(Json& operations, Vni vni, const std::string& vtep) {
  remove(operations, "Member", Json::array({equals("vni", vni), equals("vtep", vtep)}));
}

void claim(Json& operations, const MacRow& row) {
  const std::string mac = row.mac.to_string();
  operations.push_back({{"op", "wait"},
                        {"timeout", 0U},
                        {"table", "Mac"},
                        {"where", Json::array({equals("vni", row.vni), equals("mac", mac), equals("fixed", true),
                                               Json::array({"vtep", "!=", row.vtep})})},
                        {"columns", Json::array({"vtep"})},
                        {"until", "=="},
                        {"rows", Json::array()}});
  remove(operations, "Mac", Json::array({equals("vni", row.vni), equals("mac", mac)}));
  insert(operations, "Mac", to_json(row));
}

void remove_mac(Json& operations, Vni vni, const MacAddr& mac, const std::string& vtep) {
  remove(operations, "Mac", Json::array({equals("vni", vni), equals("mac", mac.to_string()), equals("vtep", vtep)}));
}

void remove_vtep(Json& operations, const std::string& vtep) {
  for (const char* table : {"Mac", "Member"}) remove(operations, table, Json::array({equals("vtep", vtep)}));
  remove(operations, "Vtep", Json::array({equals("name", vtep)}));
}

}  // namespace heddle::overlay
