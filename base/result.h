// SPDX-License-Identifier: Apache-2.0
// Errors as values. A Result carries what was asked for or an Error whose text names the object and, where there is
// one, the remedy; the code lets callers branch. Nothing in Heddle's own code throws across a library boundary.
#pragma once

#include <expected>
#include <string>
#include <utility>

namespace heddle {

enum class Errc {
  invalid,      // the request is wrong in itself (range, syntax, contradiction)
  not_found,    // the named thing does not exist (may come later: a netdev, a bridge)
  exists,       // the name or key is taken
  limit,        // a table or queue is full
  unsupported,  // this kernel, device or datapath cannot do it
  system,       // a system call failed; the text has errno's name
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
// An Errc::system error: "<what>: <strerror(err)>". Pass errno at once, before anything can change it.
std::unexpected<Error> fail_errno(int err, const std::string& what);

}  // namespace heddle
