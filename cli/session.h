// SPDX-License-Identifier: Apache-2.0
// The state that the commands of one attempt share: schema, model of the database, names given with --id=@NAME,
// comments and warnings. A new Session is made for every attempt; catalog and options must outlive it. One thread.
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

// The @NAMEs of one command line. A name may be used before the command that binds it to a record.
class Symbols {
 public:
  // The UUID of the name, which its first mention chooses.
  Uuid mention(std::string_view name);
  // Binds the name to a new record, or to the record `existing`. Errc::exists: the name is bound already;
  // Errc::invalid: a name for an existing record was used before.
  Result<Uuid> bind(std::string_view name, const std::optional<Uuid>& existing);
  // Fails for a name that was used but not bound.
  [[nodiscard]] Result<> check() const;

 private:
  struct Entry {
    Uuid uuid;
    bool bound = false;
  };
  std::map<std::string, Entry, std::less<>> entries_;
};

// The key in a record's `status` under which the daemon lists the set columns on which it does not act.
inline constexpr std::string_view kNoEffect = "no_effect";
// Beside it: what is wrong with the record, in sentences.
inline constexpr std::string_view kWarning = "warning";
inline std::string_view status_column(std::string_view table) {
  return table == "Open_vSwitch" ? "statistics" : "status";  // Open_vSwitch has no column `status`
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

// The outcome of a command that did not fail.
enum class Outcome {
  done,
  not_yet,  // the awaited condition is false; run the command again after the next change
  absent,   // br-exists: no output, no change, exit code 2
};

}  // namespace heddle::cli
