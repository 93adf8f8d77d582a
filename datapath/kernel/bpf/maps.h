/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The maps of the TC programs; their form is in layout.h. Included by tc_switch.bpf.c alone. */
#ifndef HEDDLE_DATAPATH_KERNEL_BPF_MAPS_H
#define HEDDLE_DATAPATH_KERNEL_BPF_MAPS_H

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, HD_PORTS);
  __type(key, __u32);
  __type(value, struct hd_port);
} ports SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 2 * HD_PORTS);
  __type(key, __u32);
  __type(value, hd_sealed);
} devices SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, HD_BRIDGES);
  __type(key, __u32);
  __type(value, struct hd_bridge);
} bridges SEC(".maps");

/* Each bridge's FDB has room for as many stations as the bridge; this one stands for the form. */
struct fdb {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 8192);
  __uint(key_size, sizeof(struct hd_station)); /* by size: clang leaves the types out of an inner map's BTF */
  __uint(value_size, sizeof(struct hd_entry));
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, HD_BRIDGES);
  __type(key, __u32);
  __array(values, struct fdb);
} fdbs SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 65536);
  __type(key, struct hd_vlan);
  __type(value, hd_sealed);
} vlan_sets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 65536);
  __type(key, struct hd_flood_key);
  __type(value, struct hd_flood);
} flood_sets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, HD_REMOTES);
  __type(key, __u32);
  __type(value, struct hd_remote);
} remotes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, HD_PORTS);
  __type(key, struct hd_vni);
  __type(value, hd_sealed);
} vnis SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, HD_PORTS);
  __type(key, struct hd_tunnel);
  __type(value, hd_sealed);
} tunnels SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, HD_PORTS);
  __type(key, struct hd_group);
  __type(value, hd_sealed);
} groups SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, HD_SENDERS);
  __type(key, struct hd_sender);
  __type(value, __u32);
} senders SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, HD_PORTS);
  __type(key, __u32);
  __type(value, struct hd_traffic);
} traffic SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, HD_PORTS);
  __type(key, __u32);
  __type(value, struct hd_drop_counts);
} drops SEC(".maps");

/* By ifindex of a vxlan device: what arrived there and belongs to no port. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 256);
  __type(key, __u32);
  __type(value, struct hd_drop_counts);
} strays SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, HD_PORTS);
  __type(key, __u32);
  __type(value, struct hd_learning);
} learning SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, HD_PORTS);
  __type(key, __u32);
  __type(value, struct hd_policer);
} policers SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 8192); /* HD_BRIDGES times HD_MIRRORS */
  __type(key, struct hd_mirror_key);
  __type(value, struct hd_mirror);
} mirrors SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, HD_RING);
} events SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, HD_PORTS + HD_BRIDGES);
  __type(key, struct hd_name_key);
  __type(value, struct hd_name);
} names SEC(".maps");

#ifdef HEDDLE_TEST_ADDITIVE_LAYOUT /* cmake/LayoutVariants.cmake: a map that a newer version might add */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 16);
  __type(key, __u32);
  __type(value, __u64);
} addition SEC(".maps");
#endif

#endif
