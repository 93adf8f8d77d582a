// SPDX-License-Identifier: Apache-2.0
// A tap device that the datapath makes: the bridge's own port (`internal`, outlives the daemon so that its addresses
// stay) or a port for a program that opens the device by name (`tap`). Frames are read and written on the descriptor;
// the kernel finishes checksums and segments what it hands to us, and takes unfinished checksums from us. Source:
// Documentation/networking/tuntap.rst; the virtio_net_hdr of include/uapi/linux/virtio_net.h.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "datapath/user/port_io.h"

namespace heddle::dp {

struct TapConfig {
  std::string device;
  bool outlive = false;  // keep the device when the daemon ends
};

class TapPort {
 public:
  // Makes the device, or takes up one of that name which an earlier run left behind.
  static Result<std::unique_ptr<PortIo>> open(const TapConfig& config);
  // Removes a device that `outlive` keeps. Closing the port comes first.
  static void remove(const std::string& device);
};

}  // namespace heddle::dp
