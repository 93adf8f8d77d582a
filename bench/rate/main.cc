// SPDX-License-Identifier: Apache-2.0
// heddle-rate: measures the frames per second that a switch forwards between two guests without loss. Prints JSON.
#include <boost/program_options.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/rate/loop.h"

namespace {

namespace po = boost::program_options;
using namespace heddle;
using namespace heddle::bench;

po::options_description describe(LoopOptions& o) {
  po::options_description all("heddle-rate --from NETNS:DEV --to NETNS:DEV [options]");
  auto add = all.add_options();
  add("help,h", "this text");
  add("from", po::value<std::string>()->required(), "device that frames leave from; its peer is the switch's port");
  add("to", po::value<std::string>()->required(), "device that frames arrive at");
  add("size", po::value(&o.size)->default_value(64), "bytes of a frame, 64 to 1514");
  add("flows", po::value(&o.flows)->default_value(1), "different source addresses and UDP ports");
  add("macs", po::value(&o.macs)->default_value(1), "different source and destination MACs");
  add("strangers", po::bool_switch(&o.strangers), "do not announce the source MACs, and send to one MAC only");
  add("window", po::value(&o.window)->default_value(512), "frames under way at most");
  add("seconds", po::value(&o.seconds)->default_value(2), "measured time");
  add("warm-up", po::value(&o.warm_up)->default_value(0.5), "seconds before that");
  add("cpu", po::value(&o.cpu)->default_value(-1), "CPU of the generator; -1: any");
  add("tc-sink", po::bool_switch(&o.tc_sink), "count arrivals at tc ingress, not XDP");
  add("from-tunnel", po::value<std::string>(), "send VXLAN: VNI,SOURCE-MAC,DESTINATION-MAC,SOURCE-IP,DESTINATION-IP");
  add("to-tunnel", po::value<std::string>(), "expect VXLAN; the value is the outer header in the other direction");
  return all;
}

Result<> read_tunnel(const po::variables_map& given, const char* name, std::optional<Tunnel>& tunnel) {
  if (given.count(name) == 0) return {};
  auto parsed = parse_tunnel(given[name].as<std::string>());
  if (!parsed) return std::unexpected(parsed.error());
  tunnel = *parsed;
  return {};
}

Result<> read_options(const po::variables_map& given, LoopOptions& o) {
  const auto from = parse_net_device(given["from"].as<std::string>());
  if (!from) return std::unexpected(from.error());
  const auto to = parse_net_device(given["to"].as<std::string>());
  if (!to) return std::unexpected(to.error());
  o.from = *from;
  o.to = *to;
  if (o.size < 64 || o.size > 1514) return fail(Errc::invalid, "--size is 64 to 1514");
  if (o.flows < 1 || o.flows > 1U << 20) return fail(Errc::invalid, "--flows is 1 to 1048576");
  if (o.macs < 1 || o.macs > 1U << 20) return fail(Errc::invalid, "--macs is 1 to 1048576");
  if (o.window < 16) return fail(Errc::invalid, "--window is 16 or more");
  if (auto r = read_tunnel(given, "from-tunnel", o.from_tunnel); !r) return r;
  return read_tunnel(given, "to-tunnel", o.to_tunnel);
}

int run(int argc, char** argv) {
  LoopOptions options;
  const auto all = describe(options);
  po::variables_map given;
  po::store(po::parse_command_line(argc, argv, all), given);
  if (given.count("help") != 0) {
    std::cout << all;
    return 0;
  }
  po::notify(given);
  if (auto r = read_options(given, options); !r) {
    std::cerr << "heddle-rate: " << r.error().text << '\n';
    return 2;
  }
  const auto report = run_loop(options);
  if (!report) {
    std::cerr << "heddle-rate: " << report.error().text << '\n';
    return 1;
  }
  const nlohmann::json json = {{"began", report->began},       {"mpps", report->mpps},
                               {"seconds", report->seconds},   {"sent", report->sent},
                               {"received", report->received}, {"lost", report->lost},
                               {"stalls", report->stalls},     {"reordered", report->reordered}};
  std::cout << json.dump() << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    std::cerr << "heddle-rate: " << e.what() << '\n';
    return 2;
  }
}
