// SPDX-License-Identifier: Apache-2.0
#include "bench/rate/loop.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/fd.h"
#include "bench/rate/shared.h"
#include "bench/rate/teach.h"
#include "rate.skel.h"

namespace heddle::bench {
namespace {

using Skeleton = std::unique_ptr<rate, decltype(&rate__destroy)>;

// BPF_TCX_INGRESS, Linux 6.6; not in Debian 12's headers.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);

std::uint64_t read_counter(const __u64& counter) { return __atomic_load_n(&counter, __ATOMIC_RELAXED); }

Result<Skeleton> load(const LoopOptions& o, const Template& frame) {
  Skeleton s(rate__open(), &rate__destroy);
  if (!s) return fail_errno(errno, "reading the BPF programs");
  s->rodata->window = o.window;
  s->rodata->flows = o.flows;
  s->rodata->macs = o.macs;
  s->rodata->one_sink = o.strangers ? 1 : 0;
  s->rodata->tx_offset = o.from_tunnel ? RATE_TUNNEL_BYTES : 0;
  s->rodata->rx_offset = o.to_tunnel ? RATE_TUNNEL_BYTES : 0;
  s->rodata->ip_sum = frame.ip_sum;
  s->rodata->udp_sum = frame.udp_sum;
  if (const int e = rate__load(s.get()); e != 0) return fail_errno(-e, "loading the BPF programs (needs root)");
  return s;
}

// The sink program on a device for the life of the object; attached by a link, which the kernel removes with the
// process.
class Sink {
 public:
  Result<> attach(const NetDevice& device, const rate& s, bool tc) {
    return run_in_netns(device.netns, [&]() -> Result<> {
      const int index = static_cast<int>(::if_nametoindex(device.name.c_str()));
      if (index == 0) return fail_errno(errno, "device " + device.name + " in " + device.netns);
      LIBBPF_OPTS(bpf_link_create_opts, options, .flags = tc ? 0 : XDP_FLAGS_DRV_MODE);
      const int program = bpf_program__fd(tc ? s.progs.sink_tc : s.progs.sink);
      link_.reset(bpf_link_create(program, index, tc ? kTcxIngress : BPF_XDP, &options));
      if (!link_) return fail_errno(errno, "attaching the sink to " + device.name);
      return {};
    });
  }

 private:
  Fd link_;
};

// Runs the generator until stopped by a signal, which ends the kernel's test run early.
class Generator {
 public:
  Generator(const LoopOptions& options, int program, const Bytes& frame)
      : thread_([this, &options, program, &frame] { result_ = work(options, program, frame); }) {}
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;
  ~Generator() { (void)stop(); }

  [[nodiscard]] bool running() const { return !done_; }
  Result<> stop() {
    stop_ = true;
    while (thread_.joinable()) {
      if (done_) {
        thread_.join();
        break;
      }
      pthread_kill(thread_.native_handle(), SIGUSR1);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return result_;
  }

 private:
  Result<> work(const LoopOptions& o, int program, const Bytes& frame) {
    Result<> r = enter_netns(o.from.netns);
    if (r) r = pin_thread(o.cpu);
    if (r) r = repeat(o, program, frame);
    done_ = true;
    return r;
  }
  Result<> repeat(const LoopOptions& o, int program, const Bytes& frame) {
    xdp_md context{};
    context.data_end = static_cast<__u32>(frame.size());
    context.ingress_ifindex = ::if_nametoindex(o.from.name.c_str());
    LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame.data(), .data_size_in = static_cast<__u32>(frame.size()),
                .ctx_in = &context, .ctx_size_in = sizeof context, .repeat = 1 << 30,
                .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
    while (!stop_) {
      const int e = bpf_prog_test_run_opts(program, &run);
      if (e != 0 && e != -EINTR) return fail_errno(-e, "generating on " + o.from.name);
    }
    return {};
  }

  Result<> result_;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> done_ = false;
  std::thread thread_;  // last, because it uses the other members
};

void sleep_seconds(double s) { std::this_thread::sleep_for(std::chrono::duration<double>(s)); }

// Waits for SIGINT and SIGTERM. Created before other threads, so that they inherit the blocked signals.
class Ending {
 public:
  Ending() {
    ::sigemptyset(&signals_);
    ::sigaddset(&signals_, SIGINT);
    ::sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }
  // Waits for a signal, but not longer than the given time; returns at once after the first signal.
  void wait(double seconds) {
    if (came_) return;
    const auto whole = static_cast<time_t>(seconds);
    const timespec time{whole, static_cast<long>((seconds - static_cast<double>(whole)) * 1e9)};
    came_ = ::sigtimedwait(&signals_, nullptr, &time) > 0;
  }

 private:
  sigset_t signals_{};
  bool came_ = false;
};

// Waits until no frame arrives any more, so that frames in queues count as delivered.
void drain(const rate& s) {
  auto last = read_counter(s.bss->rx.received);
  for (int quiet = 0; quiet < 10;) {
    if (read_counter(s.bss->tx.sent) == last) return;
    sleep_seconds(0.02);
    const auto now = read_counter(s.bss->rx.received);
    quiet = now == last ? quiet + 1 : 0;
    last = now;
  }
}

}  // namespace

Result<LoopReport> run_loop(const LoopOptions& o) {
  Ending ending;
  struct sigaction action {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &action, nullptr);

  const Template frame = make_frame(o.size, RATE_KIND_DATA, o.from_tunnel);
  auto loaded = load(o, frame);
  if (!loaded) return std::unexpected(loaded.error());
  rate& s = **loaded;
  Sink sink;
  if (auto r = sink.attach(o.to, s, o.tc_sink); !r) return std::unexpected(r.error());
  if (auto r = teach(o.from, o.from_tunnel, o.to, o.to_tunnel, o.strangers ? 1 : o.macs,
                     [&] { return read_counter(s.bss->rx.probes); });
      !r)
    return std::unexpected(r.error());

  LoopReport report;
  report.began = std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
  Generator generator(o, bpf_program__fd(s.progs.generate), frame.bytes);
  ending.wait(o.warm_up);
  const auto first = read_counter(s.bss->rx.received);
  const auto begin = Clock::now();
  ending.wait(o.seconds);
  const auto last = read_counter(s.bss->rx.received);
  report.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  report.mpps = static_cast<double>(last - first) / report.seconds / 1e6;
  if (auto r = generator.stop(); !r) return std::unexpected(r.error());
  drain(s);
  report.sent = read_counter(s.bss->tx.sent);
  report.received = read_counter(s.bss->rx.received);
  report.lost = static_cast<std::int64_t>(report.sent - report.received);
  report.stalls = read_counter(s.bss->tx.stalls);
  report.reordered = read_counter(s.bss->rx.reordered);
  return report;
}

}  // namespace heddle::bench
