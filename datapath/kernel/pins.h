// SPDX-License-Identifier: Apache-2.0
// Where BPF objects are kept while no daemon runs: a directory in a BPF file system, one for each owner and layout.
//
//   <bpffs>/<owner>/layout-<N>/<map>          maps
//   <bpffs>/<owner>/layout-<N>/fdb-<bridge>   the map of each bridge's FDB
//   <bpffs>/<owner>/layout-<N>/link-<ifindex> attachments to devices
//   <bpffs>/<owner>/layout-<N>-aside-<M>/...  what had the number N and another form: see set_aside()
//
// The directories of other layouts stay, and their programs at work, until remove_other_layouts().
//
// Without a BPF file system (none is mounted and none may be) everything works, but nothing can be taken over: links
// end with the process, filters go on until they are replaced. `path()` is empty and why() says the reason.
//
// Owner: the kernel datapath. Any thread, one at a time.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace heddle::dp {

class Pins {
 public:
  // Mounts a BPF file system at `bpffs` when the directory exists and has none.
  Pins(const std::string& bpffs, const std::string& owner, unsigned layout);
  // Whether the owner has left anything, of whatever layout.
  static bool exist(const std::string& bpffs, const std::string& owner);

  [[nodiscard]] const std::string& path() const { return dir_; }
  [[nodiscard]] const std::string& why() const { return why_; }
  // A number that stands for the owner, never 0: tells its TC filters from another's.
  [[nodiscard]] std::uint32_t mark() const { return mark_; }

  // An object that is pinned under the name; no descriptor when there is none.
  [[nodiscard]] Fd open(const std::string& name) const;
  // The objects of this name that other layouts have.
  [[nodiscard]] std::vector<Fd> open_in_other_layouts(const std::string& name) const;
  // Pins, in place of what has the name, in one step. Nothing happens without a file system.
  Result<> pin(int fd, const std::string& name) const;
  void unpin(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> names() const;

  // Directories of the same owner that other layouts left.
  [[nodiscard]] std::vector<std::string> other_layouts() const;
  // Everything that is pinned here becomes another layout's, in one step; nothing is pinned here afterwards.
  Result<> set_aside() const;
  void remove_other_layouts() const;
  // Removes this layout's directory with all pins, and the owner's when it is empty then.
  void remove_all() const;

 private:
  std::string owner_dir_;
  std::string dir_;
  std::string why_;
  std::uint32_t mark_ = 0;
};

}  // namespace heddle::dp
