// SPDX-License-Identifier: Apache-2.0
// What libbpf has to say (a kernel that refuses a program, and the verifier's reasons) goes to our log at level debug
// instead of to stderr: much of it is about features that are only tried, and a failure that matters is a Result of its
// caller. Call once, from main(), before a datapath is made: the setting is libbpf's and holds for the process.
#pragma once

namespace heddle::dp {

void log_libbpf();

}  // namespace heddle::dp
