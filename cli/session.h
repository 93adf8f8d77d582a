// SPDX-License-Identifier: Apache-2.0
// What the commands of one attempt share: the schema, the model of the database, the names given with --id=@NAME, and
// what they have to say. A new Session is made for every attempt; one thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/catalog.h"
#include "cli/model.h"
#include "cli/options.h"
#include "cli/value.h"

namespace heddle::cli {

// The names of records that one command line makes or looks up. A name may be used before the command that gives it.
class Symbols {
 public:
  // The record's UUID; the first mention of a name chooses it.
  Uuid mention(std::string_view name);
  // Binds the name to a record, new (`existing` empty) or not. Errc::exists: it is bound already; Errc::invalid: it
  // was used before an existing record could be bound.
  Result<Uuid> bind(std::string_view name, const std::optional<Uuid>& existing);
  // Fails for a name that was used and never bound.
  [[nodiscard]] Result<> check() const;

 private:
  struct Entry {
    Uuid uuid;
    bool bound = false;
  };
  std::map<std::string, Entry, std::less<>> entries_;
};

// The key of a record's `status` under which the daemon names the columns that are set and that it does not act on.
inline constexpr std::string_view kNoEffect = "no_effect";
inline std::string_view status_column(std::string_view table) {
  return table == "Open_vSwitch" ? "statistics" : "status";  // it has no status of its own
}

struct Session {
  Session(const Catalog& catalog_, const Options& options_) : catalog(catalog_), options(options_), model(catalog_) {}

  const Catalog& catalog;
  const Options& options;
  Interest interest;
  Model model;
  Symbols symbols;
  std::vector<std::string> comments;
  std::vector<std::string> warnings;

  [[nodiscard]] NameResolver names() {
    return [this](std::string_view name) -> Result<Uuid> { return symbols.mention(name); };
  }
};

// How a command ended, if not with an Error.
enum class Outcome {
  done,
  not_yet,  // what it waits for is not so; run it again after the next change
  absent,   // br-exists: nothing is printed, nothing is changed, exit code 2
};

}  // namespace heddle::cli
