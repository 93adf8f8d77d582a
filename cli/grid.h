// SPDX-License-Identifier: Apache-2.0
// Records in rows and columns, printed the way --format and --data ask for. Pure.
#pragma once

#include <string>
#include <vector>

#include "cli/catalog.h"
#include "cli/options.h"
#include "cli/value.h"

namespace heddle::cli {

struct Grid {
  std::vector<const ColumnSchema*> columns;
  std::vector<std::vector<Datum>> rows;  // each as long as columns
};

std::string render(const Grid& grid, const Options& options);

}  // namespace heddle::cli
