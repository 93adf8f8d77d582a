// SPDX-License-Identifier: Apache-2.0
#include "netlink/ethtool.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/fd.h"

namespace heddle::netlink {
namespace {

class Device {
 public:
  Device(int fd, const std::string& name) : fd_(fd) { std::memcpy(ifr_.ifr_name, name.c_str(), name.size() + 1); }

  // Runs one SIOCETHTOOL command; false when the driver does not support it.
  bool ask(void* command) {
    ifr_.ifr_data = static_cast<char*>(command);
    return ::ioctl(fd_, SIOCETHTOOL, &ifr_) == 0;
  }
  int index() {
    ifreq r = ifr_;
    return ::ioctl(fd_, SIOCGIFINDEX, &r) == 0 ? r.ifr_ifindex : 0;
  }

 private:
  int fd_;
  ifreq ifr_{};
};

void speed(Device& device, EthtoolInfo& info) {
  // The first call returns the negated number of words that the link mode masks behind the struct need.
  alignas(ethtool_link_settings) std::array<std::byte, sizeof(ethtool_link_settings) + sizeof(std::uint32_t[3][127])>
      room{};
  auto* ask = reinterpret_cast<ethtool_link_settings*>(room.data());
  ask->cmd = ETHTOOL_GLINKSETTINGS;
  if (!device.ask(ask) || ask->link_mode_masks_nwords >= 0) return;
  const auto words = static_cast<__s8>(-ask->link_mode_masks_nwords);
  room.fill(std::byte{0});
  ask->cmd = ETHTOOL_GLINKSETTINGS;
  ask->link_mode_masks_nwords = words;
  if (!device.ask(ask)) return;
  if (ask->speed != 0 && ask->speed != static_cast<std::uint32_t>(SPEED_UNKNOWN))
    info.speed_bps = std::uint64_t{ask->speed} * 1'000'000;
  info.full_duplex = ask->duplex == DUPLEX_FULL;
}

// Counts /sys/class/net/NAME/queues/rx-*. /sys shows the namespace in which it was mounted, which may differ from this
// thread's; comparing the index tells whether NAME is the same device there. 0 = not known.
unsigned sysfs_rx_queues(const std::string& name, int index) {
  const std::filesystem::path dir = std::filesystem::path("/sys/class/net") / name;
  int theirs = 0;
  std::ifstream(dir / "ifindex") >> theirs;
  if (theirs != index) return 0;
  unsigned n = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator i(dir / "queues", error), end; !error && i != end; i.increment(error))
    if (i->path().filename().string().starts_with("rx-")) ++n;
  return n;
}

}  // namespace

Result<EthtoolInfo> ethtool_info(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ || name.find('/') != std::string::npos)
    return fail(Errc::not_found, "network device \"" + name + "\" does not exist");
  const Fd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "opening a socket for ethtool");
  Device device(fd.get(), name);
  const int index = device.index();
  if (index == 0) return fail(Errc::not_found, "network device \"" + name + "\" does not exist");

  EthtoolInfo info;
  ethtool_drvinfo driver{};
  driver.cmd = ETHTOOL_GDRVINFO;
  if (device.ask(&driver)) info.driver.assign(driver.driver, strnlen(driver.driver, sizeof driver.driver));
  speed(device, info);
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  if (device.ask(&channels))
    info.rx_queues = channels.combined_count + channels.rx_count;
  else
    info.rx_queues = sysfs_rx_queues(name, index);
  if (info.rx_queues == 0) info.rx_queues = 1;
  return info;
}

}  // namespace heddle::netlink
