// SPDX-License-Identifier: Apache-2.0
#include "datapath/user/promiscuous.h"

#include <linux/if_packet.h>
#include <sys/socket.h>

#include <cerrno>

namespace heddle::dp {
namespace {

packet_mreq request_for(int ifindex) {
  packet_mreq request{};
  request.mr_ifindex = ifindex;
  request.mr_type = PACKET_MR_PROMISC;
  return request;
}

}  // namespace

Result<> Promiscuous::add(int ifindex, const std::string& device) {
  if (!socket_) socket_.reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  const packet_mreq request = request_for(ifindex);
  if (!socket_ || setsockopt(socket_.get(), SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request) != 0)
    return fail_errno(errno, "promiscuous mode on " + device);
  return {};
}

void Promiscuous::drop(int ifindex) {
  const packet_mreq request = request_for(ifindex);
  (void)setsockopt(socket_.get(), SOL_PACKET, PACKET_DROP_MEMBERSHIP, &request, sizeof request);
}

}  // namespace heddle::dp
