// SPDX-License-Identifier: Apache-2.0
// A text table whose columns are as wide as their widest cell. Pure.
#pragma once

#include <string>
#include <vector>

namespace heddle::vswitchd {

class Grid {
 public:
  // `align`: one character a column, 'l' or 'r'.
  Grid(std::vector<std::string> head, std::string align);
  void add(std::vector<std::string> row);
  // With a newline after every line; two blanks between columns, none at the end of a line.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::string align_;
};

}  // namespace heddle::vswitchd
