// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/tunnel_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "vswitchd/text.h"

namespace heddle::vswitchd {
namespace {

using Options = std::map<std::string, std::string>;

constexpr std::array<std::string_view, 14> kKnown{"control",    "remote_ip", "local_ip",      "key",      "in_key",
                                                  "out_key",    "dst_port",  "tos",           "ttl",      "csum",
                                                  "df_default", "remotes",   "split_horizon", "rp_filter"};

const std::string* find(const Options& options, const std::string& name) {
  const auto it = options.find(name);
  return it == options.end() ? nullptr : &it->second;
}

std::unexpected<Error> bad(const std::string& name, const std::string& value, const std::string& right) {
  return fail(Errc::invalid, fmt::format("options:{}={}: {}", name, value, right));
}

Result<std::optional<std::uint64_t>> number(const Options& options, const std::string& name, std::uint64_t low,
                                            std::uint64_t high, const std::string& hint = {}) {
  const std::string* text = find(options, name);
  if (text == nullptr) return std::nullopt;
  const auto value = parse_number(*text);
  if (value && *value >= low && *value <= high) return value;
  return bad(name, *text, fmt::format("must be a number from {} to {}{}", low, high, hint));
}

Result<bool> boolean(const Options& options, const std::string& name, bool otherwise) {
  const std::string* text = find(options, name);
  if (text == nullptr) return otherwise;
  if (const auto value = parse_bool(*text)) return *value;
  return bad(name, *text, "must be true or false");
}

// TOS and TTL: a number or "inherit".
Result<> field(const Options& options, const std::string& name, std::uint64_t low, std::uint8_t& value, bool& inherit) {
  const std::string* text = find(options, name);
  if (text != nullptr && *text == "inherit") {
    inherit = true;
    return {};
  }
  const auto given = number(options, name, low, 255, ", or inherit");
  if (!given) return std::unexpected(given.error());
  if (*given) value = static_cast<std::uint8_t>(**given);
  return {};
}

Result<> read_key(const Options& options, dp::TunnelSpec& spec) {
  for (const char* name : {"key", "in_key", "out_key"})
    if (const std::string* text = find(options, name); text != nullptr && *text == "flow")
      return bad(name, *text, "keys set by flows are not supported; give a number, and one port to each key");
  std::array<std::optional<std::uint64_t>, 3> given;
  std::size_t i = 0;
  for (const char* name : {"key", "in_key", "out_key"}) {
    const auto value = number(options, name, 0, limits::kVniMax);
    if (!value) return std::unexpected(value.error());
    given[i++] = *value;
  }
  const auto in = given[1].value_or(given[0].value_or(0));
  const auto out = given[2].value_or(given[0].value_or(0));
  if (in != out)
    return fail(Errc::invalid, fmt::format("options:in_key={} and out_key={} differ: VXLAN ports here use one key for "
                                           "both directions; set options:key alone",
                                           in, out));
  spec.vxlan().vni = static_cast<std::uint32_t>(in);
  return {};
}

// RFC 5771 section 4: 224.0.0.0/24 is for protocols of one network. RFC 4291 section 2.7: scopes 0 and 1 leave no host.
bool may_be_group(const IpAddr& ip) {
  const std::uint8_t* b = ip.data();
  return ip.is_v6() ? (b[1] & 0x0f) > 1 : b[0] != 224 || b[1] != 0 || b[2] != 0;
}

Result<> read_remote(const Options& options, dp::TunnelSpec& spec) {
  const std::string* text = find(options, "remote_ip");
  if (text == nullptr)
    return fail(Errc::invalid, "options:remote_ip is missing: set it to the far end's address, or to flow");
  if (*text == "flow") return {};
  const auto ip = IpAddr::parse(*text);
  if (!ip) return bad("remote_ip", *text, "must be an IPv4 or IPv6 address, or flow");
  if (ip->is_any()) return bad("remote_ip", *text, "is not an address of a host");
  if (!ip->is_multicast()) {
    spec.remote = ip;
    return {};
  }
  if (!may_be_group(*ip))
    return bad("remote_ip", *text, "is a group that never leaves its link; take one of 239.0.0.0/8 or ff05::/16");
  spec.group = ip;
  return {};
}

Result<> read_local(const Options& options, dp::TunnelSpec& spec) {
  const std::string* text = find(options, "local_ip");
  if (text == nullptr) return {};
  const auto ip = IpAddr::parse(*text);
  if (!ip || ip->is_any() || ip->is_multicast()) return bad("local_ip", *text, "must be an address of this host");
  spec.local = ip;
  return {};
}

Result<> read_remotes(const Options& options, TunnelOptions& out) {
  const std::string* text = find(options, "remotes");
  if (text == nullptr) return {};
  if (out.spec.remote || out.spec.group) return bad("remotes", *text, "has a meaning only with remote_ip=flow");
  for (const std::string_view part : split_list(*text)) {
    const auto ip = IpAddr::parse(part);
    if (!ip || ip->is_any() || ip->is_multicast())
      return bad("remotes", *text, fmt::format("\"{}\" is not the address of a host", part));
    if (std::ranges::find(out.remotes, *ip) == out.remotes.end()) out.remotes.push_back(*ip);
  }
  if (out.remotes.size() > limits::kFloodList)
    return bad("remotes", fmt::format("({} addresses)", out.remotes.size()),
               fmt::format("at most {} are possible", limits::kFloodList));
  return {};
}

// The underlay's family follows from whichever address was given; they must agree.
Result<> derive_family(TunnelOptions& out) {
  std::vector<IpAddr> all = out.remotes;
  if (out.spec.remote) all.push_back(*out.spec.remote);
  if (out.spec.group) all.push_back(*out.spec.group);
  if (out.spec.local) all.push_back(*out.spec.local);
  if (all.empty()) return {};
  for (const IpAddr& ip : all)
    if (ip.is_v6() != all.front().is_v6())
      return fail(Errc::invalid, fmt::format("options: {} and {} are of different families; a tunnel runs over IPv4 or "
                                             "over IPv6",
                                             all.front().to_string(), ip.to_string()));
  out.spec.v6 = all.front().is_v6();
  return {};
}

}  // namespace

Result<TunnelOptions> parse_tunnel_options(const Options& options) {
  TunnelOptions out;
  dp::TunnelSpec& spec = out.spec;
  if (auto r = read_remote(options, spec); !r) return std::unexpected(r.error());
  if (auto r = read_local(options, spec); !r) return std::unexpected(r.error());
  if (auto r = read_key(options, spec); !r) return std::unexpected(r.error());
  if (auto r = read_remotes(options, out); !r) return std::unexpected(r.error());
  if (auto r = derive_family(out); !r) return std::unexpected(r.error());
  if (spec.group) out.remotes = {*spec.group};
  if (const std::string* text = find(options, "control")) {
    if (*text != "reflector" && *text != "evpn") return bad("control", *text, "must be reflector or evpn");
    if (!spec.multipoint() || spec.group) return bad("control", *text, "has a meaning only with remote_ip=flow");
  }
  if (auto r = field(options, "tos", 0, spec.tos, spec.tos_inherit); !r) return std::unexpected(r.error());
  if (auto r = field(options, "ttl", 1, spec.ttl, spec.ttl_inherit); !r) return std::unexpected(r.error());
  const auto port = number(options, "dst_port", 1, 65535);
  if (!port) return std::unexpected(port.error());
  if (*port) spec.vxlan().dst_port = static_cast<std::uint16_t>(**port);
  const auto df = boolean(options, "df_default", true);
  if (!df) return std::unexpected(df.error());
  spec.df = *df;
  const auto csum = boolean(options, "csum", spec.v6);
  if (!csum) return std::unexpected(csum.error());
  spec.csum = *csum;
  const auto split = boolean(options, "split_horizon", true);
  if (!split) return std::unexpected(split.error());
  if (spec.group && !*split)
    return bad("split_horizon", "false", "cannot be with a group: whoever is in it has a frame already");
  spec.split_horizon = *split;
  if (const std::string* text = find(options, "rp_filter")) {
    if (*text != "strict" && *text != "loose") return bad("rp_filter", *text, "must be strict or loose");
    spec.strict_ingress = *text == "strict";
  }
  return out;
}

bool is_tunnel_option(std::string_view name) { return std::ranges::find(kKnown, name) != kKnown.end(); }

std::string describe_endpoint(const dp::TunnelSpec& spec) {
  if (spec.group)
    return fmt::format("remote_ip=GROUP key={} dst_port={}{}", spec.vxlan().vni, spec.vxlan().dst_port,
                       spec.v6 ? " over IPv6" : "");
  return fmt::format("remote_ip={} local_ip={} key={} dst_port={}{}", spec.remote ? spec.remote->to_string() : "flow",
                     spec.local ? spec.local->to_string() : "any", spec.vxlan().vni, spec.vxlan().dst_port,
                     spec.v6 ? " over IPv6" : "");
}

}  // namespace heddle::vswitchd
