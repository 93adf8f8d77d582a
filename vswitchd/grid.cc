// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/grid.h"

#include <fmt/format.h>

#include <algorithm>

namespace heddle::vswitchd {

Grid::Grid(std::vector<std::string> head, std::string align) : align_(std::move(align)) {
  rows_.push_back(std::move(head));
}

void Grid::add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

std::string Grid::text() const {
  std::vector<std::size_t> width(align_.size());
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i != 0) line += "  ";
      line += align_[i] == 'r' ? fmt::format("{:>{}}", row[i], width[i]) : fmt::format("{:<{}}", row[i], width[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
  }
  return out;
}

}  // namespace heddle::vswitchd
