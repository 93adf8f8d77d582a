// SPDX-License-Identifier: Apache-2.0
// Plays many VTEPs against one reflector: each is the daemon's own client (overlay/reflector_source.h) with networks
// and stations, and without a packet. Prints one line of JSON: the seconds until all were in step, until all knew all
// members, and until all knew all stations; how often they were told; and of moves, one at a time, the milliseconds
// until all members knew.
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/program_options.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "overlay/reflector_source.h"
#include "ovsdb/target.h"
#include "ovsdb/tls.h"

namespace heddle::bench {
namespace {

using overlay::ReflectorSource;
using overlay::Vni;

struct Options {
  std::string server;
  std::size_t vteps = 200;
  std::size_t stations = 50;  // of each VTEP, spread over its networks
  std::size_t networks = 40;
  std::size_t each = 5;  // networks of one VTEP
  std::size_t moves = 0;
  unsigned wait = 300;  // seconds for each step
  bool stay = false;
};

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

struct Vtep final : overlay::VtepSet::Sink {
  std::unique_ptr<ReflectorSource> source;
  std::vector<Vni> networks;
  std::uint64_t told = 0;
  void members_changed(Vni /*vni*/) override {}
  void mac_changed(Vni /*vni*/, const MacAddr& /*mac*/, const std::optional<IpAddr>& /*vtep*/) override { ++told; }
};

class Simulation {
 public:
  explicit Simulation(const Options& options) : options_(options), members_of_(options.networks) {
    const auto target = ovsdb::Target::parse(options.server);
    if (!target) throw std::runtime_error(target.error().text);
    for (std::size_t n = 0; n < options.vteps; ++n) {
      auto& vtep = *vteps_.emplace_back(std::make_unique<Vtep>());
      for (std::size_t k = 0; k < options.each; ++k) {
        const std::size_t network = (n * options.each + k) % options.networks;
        vtep.networks.push_back(static_cast<Vni>(1000 + network));
        ++members_of_[network];
      }
      ReflectorSource::Config config{{*target}, fmt::format("sim{}", n), std::chrono::seconds(60)};
      vtep.source = std::make_unique<ReflectorSource>(io_, tls_, config, vtep);
    }
  }

  int run() {
    const double connected = until(
        [this] { return std::ranges::all_of(vteps_, [](const auto& v) { return v->source->status().in_step; }); });
    for (std::size_t n = 0; n < vteps_.size(); ++n)
      for (const Vni vni : vteps_[n]->networks) vteps_[n]->source->add_network(vni, address(n));
    const double members =
        until([this] { return std::ranges::all_of(vteps_, [this](const auto& v) { return knows(*v); }); });
    for (std::size_t n = 0; n < vteps_.size(); ++n)
      for (std::size_t s = 0; s < options_.stations; ++s)
        vteps_[n]->source->add_station(vteps_[n]->networks[s % options_.each], mac(n, s), false);
    const std::uint64_t want = expected();
    const double stations = until([this, want] { return known() == want; });
    std::uint64_t told = 0;
    for (const auto& v : vteps_) told += v->told;
    fmt::print("{{\"connected_s\":{:.2f},\"members_s\":{:.2f},\"stations_s\":{:.2f},\"known\":{},\"told\":{}",
               connected, members, stations, known(), told);
    if (options_.moves > 0) print_moves();
    fmt::print("}}\n");
    std::fflush(stdout);
    if (options_.stay) stay();
    return stations < 0 ? 1 : 0;
  }

 private:
  static IpAddr address(std::size_t vtep) { return IpAddr::v4(0x0a400000 + static_cast<std::uint32_t>(vtep) + 1); }
  static MacAddr mac(std::size_t vtep, std::size_t station) {
    return MacAddr::from_u64(0x020000000000ULL + (static_cast<std::uint64_t>(vtep) << 16) + station);
  }
  // Of a VTEP: all members of its networks but itself.
  [[nodiscard]] bool knows(const Vtep& vtep) const {
    return std::ranges::all_of(vtep.networks, [&](Vni vni) {
      return vtep.source->known().members(vni).size() + 1 >= members_of_[vni - 1000];
    });
  }
  [[nodiscard]] std::uint64_t known() const {
    std::uint64_t sum = 0;
    for (const auto& v : vteps_) sum += v->source->known().mac_count();
    return sum;
  }
  [[nodiscard]] std::uint64_t expected() const {
    std::uint64_t sum = 0;
    for (std::size_t k = 0; k < options_.each; ++k) {
      const std::size_t in_network = (options_.stations + options_.each - 1 - k) / options_.each;
      for (const auto& v : vteps_) sum += in_network * (members_of_[v->networks[k] - 1000] - 1);
    }
    return sum;
  }

  // The seconds until it holds, looked at every 5 ms, or more seldom when a look takes long; -1: it never did.
  double until(const std::function<bool()>& holds) {
    const TimePoint began = Clock::now();
    for (;;) {
      const TimePoint look = Clock::now();
      if (holds()) return seconds(look - began);
      if (look - began > std::chrono::seconds(options_.wait)) return -1;
      io_.run_for(std::max<Duration>(std::chrono::milliseconds(5), 10 * (Clock::now() - look)));
    }
  }

  // A station of one VTEP is claimed by the next that has its network.
  void print_moves() {
    std::vector<double> times;
    for (std::size_t n = 0; n < options_.moves; ++n) {
      const std::size_t from = n % vteps_.size();
      const MacAddr station = mac(from, n / vteps_.size() * options_.each);  // of its first network
      const Vni vni = vteps_[from]->networks[0];
      std::size_t to = from;
      do to = (to + 1) % vteps_.size();
      while (std::ranges::find(vteps_[to]->networks, vni) == vteps_[to]->networks.end());
      vteps_[from]->source->remove_station(vni, station);
      vteps_[to]->source->add_station(vni, station, false);
      const double took = until([&] {
        return std::ranges::all_of(vteps_, [&](const auto& v) {
          if (v == vteps_[to] || std::ranges::find(v->networks, vni) == v->networks.end()) return true;
          const auto now = v->source->known().mac(vni, station);
          return now && now->vtep == address(to);
        });
      });
      times.push_back(1000 * took);
    }
    std::ranges::sort(times);
    fmt::print(",\"move_ms\":{:.1f},\"move_95_ms\":{:.1f}", times[times.size() / 2], times[times.size() * 95 / 100]);
  }

  // Until standard input ends.
  void stay() {
    std::jthread reader([this] {
      std::string line;
      while (std::getline(std::cin, line)) {
      }
      io_.stop();
    });
    io_.restart();
    io_.run();
  }

  const Options options_;
  boost::asio::io_context io_{1};
  std::shared_ptr<ovsdb::Tls> tls_ = ovsdb::Tls::make();
  std::vector<std::size_t> members_of_;
  std::vector<std::unique_ptr<Vtep>> vteps_;
};

int main(int argc, char** argv) {
  namespace po = boost::program_options;
  Options o;
  po::options_description d("Options");
  auto add = d.add_options();
  add("server", po::value(&o.server)->required(), "the reflector, as tcp:ADDRESS:PORT");
  add("vteps", po::value(&o.vteps), "VTEPs (200)");
  add("stations", po::value(&o.stations), "stations of each (50)");
  add("networks", po::value(&o.networks), "networks in all (40)");
  add("each", po::value(&o.each), "networks of each VTEP (5)");
  add("moves", po::value(&o.moves), "stations that move afterwards, one at a time (0)");
  add("wait", po::value(&o.wait), "seconds for each step (300)");
  add("stay", po::bool_switch(&o.stay), "stay connected until standard input ends");
  try {
    po::variables_map vars;
    po::store(po::parse_command_line(argc, argv, d), vars);
    po::notify(vars);
    if (o.vteps == 0 || o.each == 0 || o.each > o.networks) throw std::runtime_error("--each: from 1 to --networks");
    spdlog::set_level(spdlog::level::err);
    return Simulation(o).run();
  } catch (const std::exception& e) {
    fmt::print(stderr, "heddle-simulate: {}\n", e.what());
    return 2;
  }
}

}  // namespace
}  // namespace heddle::bench

int main(int argc, char** argv) { return heddle::bench::main(argc, argv); }
