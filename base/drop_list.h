/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The drop reasons as X(name, text), for base/drop_reason.h and for the BPF programs (C, no other header needed). */
#ifndef HEDDLE_BASE_DROP_LIST_H
#define HEDDLE_BASE_DROP_LIST_H

#define HEDDLE_DROP_REASONS(X)                                                                \
  X(truncated, "frame shorter than a header it claims to carry")                              \
  X(bad_length, "a length field contradicts the frame")                                       \
  X(bad_header, "a header field has an impossible value (version, offset, reserved bits)")    \
  X(source_multicast, "source MAC is a group address")                                        \
  X(reserved_multicast, "destination is 01:80:c2:00:00:0x (STP, LLDP, pause), never bridged") \
  X(vlan_not_member, "VLAN is not carried by the ingress port")                               \
  X(vlan_tagged_on_access, "tagged frame on an access port")                                  \
  X(no_destination, "nowhere to go: flood set is empty or holds only the ingress port")       \
  X(same_port, "destination was learned on the ingress port")                                 \
  X(split_horizon, "from a tunnel to a tunnel")                                               \
  X(protected_port, "between two protected ports")                                            \
  X(egress_vlan, "known destination's port does not carry the VLAN")                          \
  X(port_down, "egress port has no device or its link is down")                               \
  X(no_bridge, "ingress port belongs to no bridge yet")                                       \
  X(tx_queue_full, "egress queue is full")                                                    \
  X(tx_error, "the kernel refused the frame on egress")                                       \
  X(rx_queue_full, "the kernel found no room in our receive ring")                            \
  X(no_frame, "packet buffer memory is exhausted")                                            \
  X(oversize, "larger than the egress device's MTU")                                          \
  X(tunnel_mtu, "larger than the tunnel's underlay can carry")                                \
  X(unknown_vni, "VXLAN network identifier or remote address matches no port")                \
  X(bad_vxlan, "VXLAN header without the I flag")                                             \
  X(bad_udp_checksum, "outer UDP checksum is wrong")                                          \
  X(no_route, "no route or local address to the tunnel's remote")                             \
  X(ecn_invalid, "outer congestion mark on an inner packet that cannot carry it (RFC 6040)")  \
  X(mailbox_full, "hand-over queue between two workers is full")                              \
  X(mirror_port, "received on a port that is reserved for mirrored frames")                   \
  X(policed, "more than the ingress_policing columns let the port bring")                     \
  X(fail_secure, "bridge is in fail_mode secure, and no controller says where frames go")     \
  X(patch_loop, "passed too many patch ports: bridges are patched in a loop")                 \
  X(shaped, "queue of a port with QoS is full")                                               \
  X(wrong_ingress, "VXLAN packet by a device that does not lead to its sender")               \
  X(wrong_group, "VXLAN packet to a multicast group that is not its network's")

#endif
