// SPDX-License-Identifier: Apache-2.0
#include "datapath/bpf_log.h"

#include <bpf/libbpf.h>

#include <array>
#include <cstdarg>
#include <cstdio>
#include <string_view>

#include "base/log.h"

namespace heddle::dp {

void log_libbpf() {
  libbpf_set_print([](libbpf_print_level level, const char* format, va_list arguments) {
    if (level == LIBBPF_DEBUG || !spdlog::should_log(spdlog::level::debug)) return 0;
    std::array<char, 4096> text{};  // a verifier log can be long; what does not fit is cut off
    const int length = std::vsnprintf(text.data(), text.size(), format, arguments);
    std::string_view said(text.data());
    while (said.ends_with('\n')) said.remove_suffix(1);
    spdlog::debug("{}", said);
    return length;
  });
}

}  // namespace heddle::dp
