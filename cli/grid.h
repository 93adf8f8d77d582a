// SPDX-License-Identifier: Apache-2.0
// Renders records as rows and columns in the --format and --data of the options. Pure functions; nothing fails.
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
