// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/target.h"

#include <sys/un.h>

#include <charconv>

namespace heddle::ovsdb {

namespace {

bool read_port(std::string_view text, bool passive, std::uint16_t& port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && (port > 0 || passive);
}

bool without_brackets(std::string_view& place) {
  if (!place.starts_with('[')) return place.find(':') == std::string_view::npos;
  if (!place.ends_with(']')) return false;
  place = place.substr(1, place.size() - 2);
  return !place.empty();
}

// "PORT[:IP]"
bool read_local(std::string_view rest, Target& target) {
  const auto colon = rest.find(':');
  std::string_view place = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  const std::string_view port = rest.substr(0, colon);
  if (!port.empty() && !read_port(port, true, target.port)) return false;
  if (!without_brackets(place)) return false;
  target.place = place;
  return true;
}

// "HOST[:PORT]"
bool read_far(std::string_view rest, Target& target) {
  const auto bracket = rest.rfind(']');
  const auto colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  std::string_view place = rest.substr(0, colon);
  if (colon != std::string_view::npos && !read_port(rest.substr(colon + 1), false, target.port)) return false;
  if (place.empty() || !without_brackets(place)) return false;
  target.place = place;
  return true;
}

}  // namespace

Result<Target> Target::parse(std::string_view text) {
  Target target;
  target.text = text;
  const auto wrong = [&] {
    return fail(Errc::invalid, "remote \"" + target.text +
                                   "\" is none of punix:FILE, ptcp:PORT[:IP], pssl:PORT[:IP], unix:FILE, "
                                   "tcp:HOST[:PORT] and ssl:HOST[:PORT]");
  };
  const auto colon = text.find(':');
  if (colon == std::string_view::npos || text.find('\0') != std::string_view::npos) return wrong();
  std::string_view method = text.substr(0, colon);
  const std::string_view rest = text.substr(colon + 1);
  if (method == "punix" || method == "ptcp" || method == "pssl") {
    target.passive = true;
    method.remove_prefix(1);
  }
  target.tls = method == "ssl";
  if (method == "unix") {
    target.file = true;
    target.place = rest;
    constexpr std::size_t longest = sizeof(sockaddr_un::sun_path) - 1;
    if (rest.size() > longest)
      return fail(Errc::invalid, "remote \"" + target.text + "\": a socket's path has at most " +
                                     std::to_string(longest) + " bytes; use a shorter directory");
    return rest.empty() ? Result<Target>(wrong()) : target;
  }
  if (method != "tcp" && method != "ssl") return wrong();
  if (!(target.passive ? read_local(rest, target) : read_far(rest, target))) return wrong();
  return target;
}

}  // namespace heddle::ovsdb
