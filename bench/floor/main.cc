// SPDX-License-Identifier: Apache-2.0
// heddle-floor: a bare AF_XDP forwarder between two devices, an upper bound for AF_XDP switches. The options help to
// find the fastest use of AF_XDP on a machine. Prints "ready" when it forwards; ends on SIGTERM.
#include <boost/program_options.hpp>
#include <csignal>
#include <iostream>

#include "bench/floor/forward.h"

namespace {

namespace po = boost::program_options;
using namespace heddle;
using namespace heddle::bench;

volatile bool stop = false;

struct Options {
  XskOptions socket;
  ForwardOptions forward;
  bool huge_pages = false;
  bool no_wakeup = false;
  int cpu = -1;
};

po::options_description describe(Options& o) {
  po::options_description all("heddle-floor NETNS:DEV NETNS:DEV [options]");
  auto add = all.add_options();
  add("help,h", "this text");
  add("port", po::value<std::vector<std::string>>(), "the two devices");
  add("batch", po::value(&o.forward.batch)->default_value(32), "frames read at once");
  add("ring", po::value(&o.socket.ring)->default_value(2048), "entries of each ring");
  add("wrap", po::bool_switch(&o.forward.wrap), "first to second: prepend 50 bytes; back: strip 50");
  add("kick-per-batch", po::bool_switch(&o.forward.kick_per_batch),
      "a transmit call after every batch, not every round");
  add("fill", po::value(&o.forward.fill)->default_value(1024), "frames in each fill ring");
  add("spin", po::bool_switch(&o.forward.spin), "never sleep");
  add("epoll", po::bool_switch(&o.forward.epoll), "sleep in epoll_wait, not poll");
  add("idle-rounds", po::value(&o.forward.idle_rounds)->default_value(64), "empty rounds before sleeping");
  add("no-need-wakeup", po::bool_switch(&o.no_wakeup), "without XDP_USE_NEED_WAKEUP");
  add("skb", po::bool_switch(&o.socket.skb_mode), "generic XDP");
  add("busy-poll", po::value(&o.socket.busy_poll_us)->default_value(0), "SO_BUSY_POLL, microseconds");
  add("busy-budget", po::value(&o.socket.busy_poll_budget)->default_value(64), "SO_BUSY_POLL_BUDGET");
  add("tx-budget", po::value(&o.socket.tx_budget)->default_value(0), "XDP_MAX_TX_SKB_BUDGET");
  add("huge-pages", po::bool_switch(&o.huge_pages), "packet memory in huge pages");
  add("cpu", po::value(&o.cpu)->default_value(-1), "CPU to run on; -1: any");
  return all;
}

Result<> forward(const std::vector<std::string>& ports, const Options& o) {
  if (ports.size() != 2) return fail(Errc::invalid, "give two devices, NETNS:DEV each");
  std::array<NetDevice, 2> devices;
  for (std::size_t i = 0; i < 2; ++i) {
    auto device = parse_net_device(ports[i]);
    if (!device) return std::unexpected(device.error());
    devices[i] = *device;
  }
  if (o.forward.fill > o.socket.ring) return fail(Errc::invalid, "--fill is at most --ring");
  auto forwarder = Forwarder::make(devices, o.huge_pages, o.socket, o.forward);
  if (!forwarder) return std::unexpected(forwarder.error());
  if (auto r = pin_thread(o.cpu); !r) return r;
  std::cout << "ready" << std::endl;
  (*forwarder)->run(stop);
  return {};
}

int run(int argc, char** argv) {
  Options options;
  const auto all = describe(options);
  po::positional_options_description positional;
  positional.add("port", 2);
  po::variables_map given;
  po::store(po::command_line_parser(argc, argv).options(all).positional(positional).run(), given);
  po::notify(given);
  if (given.count("help") != 0 || given.count("port") == 0) {
    std::cout << all;
    return given.count("help") != 0 ? 0 : 2;
  }
  options.socket.need_wakeup = !options.no_wakeup;
  options.forward.always_kick = options.no_wakeup;
  struct sigaction action {};
  action.sa_handler = [](int) { stop = true; };
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  const auto result = forward(given["port"].as<std::vector<std::string>>(), options);
  if (result) return 0;
  std::cerr << "heddle-floor: " << result.error().text << '\n';
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    std::cerr << "heddle-floor: " << e.what() << '\n';
    return 2;
  }
}
