// SPDX-License-Identifier: Apache-2.0
// Errors as values. A Result holds the requested value or an Error. An error's text names the object and, where there
// is one, the remedy; callers branch on its code. Heddle's own code throws no exception across a library boundary.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace heddle {

enum class Errc {
  invalid,      // the request is wrong in itself (range, syntax, contradiction)
  not_found,    // the named object does not exist (a netdev or bridge may appear later)
  exists,       // the name or key is taken
  limit,        // a table or queue is full
  unsupported,  // this kernel, device or datapath cannot do it
  system,       // a system call failed (the text names the cause), or a peer or the kernel gave no usable answer
};

struct Error {
  Errc code = Errc::system;
  std::string text;
};

template <typename T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Errc code, std::string text) {
  return std::unexpected(Error{code, std::move(text)});
}
// An Errc::system error: "<what>: <strerror(err)>". Pass errno before another call can change it.
std::unexpected<Error> fail_errno(int err, const std::string& what);

}  // namespace heddle
