#include "cli/grid.h"

#include <fmt/format.h>

#include <algorithm>

namespace heddle::cli {
namespace {

std::string cell(const Datum& datum, const ColumnSchema& column, DataStyle style) {
  switch (style) {
    case DataStyle::bare:
      return format_bare(datum);
    case DataStyle::json:
      return ovsdb::dump_json(to_json(datum, column.type));
    case DataStyle::string:
      break;
  }
  return format_datum(datum, column.type);
}

std::string render_list(const Grid& grid, const Options& options) {
  std::string out;
  for (const auto& row : grid.rows) {
    if (&row != &grid.rows.front()) out += '\n';
    for (std::size_t i = 0; i < grid.columns.size(); ++i) {
      if (options.headings) out += fmt::format("{:<20}: ", grid.columns[i]->name);
      out += cell(row[i], *grid.columns[i], options.data) + "\n";
    }
  }
  return out;
}

// Characters, not bytes, so that columns line up.
std::size_t width(const std::string& s) {
  return static_cast<std::size_t>(std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string render_table(const Grid& grid, const Options& options) {
  std::vector<std::vector<std::string>> lines;
  std::vector<std::size_t> widths(grid.columns.size(), 0);
  if (options.headings) {
    auto& names = lines.emplace_back();
    for (const auto* column : grid.columns) names.push_back(column->name);
  }
  for (const auto& row : grid.rows) {
    auto& line = lines.emplace_back();
    for (std::size_t i = 0; i < row.size(); ++i) line.push_back(cell(row[i], *grid.columns[i], options.data));
  }
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width(line[i]));
  }
  if (options.headings) {
    std::vector<std::string> rule;
    rule.reserve(widths.size());
    for (const auto w : widths) rule.emplace_back(w, '-');
    lines.insert(lines.begin() + 1, std::move(rule));
  }
  std::string out;
  for (const auto& line : lines) {
    std::string text;
    for (std::size_t i = 0; i < line.size(); ++i) {
      text += line[i];
      if (i + 1 < line.size()) text += std::string(widths[i] - width(line[i]) + 1, ' ');
    }
    out += text + "\n";
  }
  return out;
}

// RFC 4180 section 2: fields with a comma, quote or line break are quoted, quotes inside are doubled.
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string render_csv(const Grid& grid, const Options& options) {
  std::string out;
  const auto add = [&](std::size_t i, const std::string& text) { out += (i == 0 ? "" : ",") + csv_field(text); };
  if (options.headings) {
    for (std::size_t i = 0; i < grid.columns.size(); ++i) add(i, grid.columns[i]->name);
    out += '\n';
  }
  for (const auto& row : grid.rows) {
    for (std::size_t i = 0; i < row.size(); ++i) add(i, cell(row[i], *grid.columns[i], options.data));
    out += '\n';
  }
  return out;
}

std::string render_json(const Grid& grid) {
  Json data = Json::array();
  Json headings = Json::array();
  for (const auto* column : grid.columns) headings.push_back(column->name);
  for (const auto& row : grid.rows) {
    Json line = Json::array();
    for (std::size_t i = 0; i < row.size(); ++i) line.push_back(to_json(row[i], grid.columns[i]->type));
    data.push_back(std::move(line));
  }
  return ovsdb::dump_json({{"headings", std::move(headings)}, {"data", std::move(data)}}) + "\n";
}

}  // namespace

std::string render(const Grid& grid, const Options& options) {
  switch (options.format) {
    case Format::table:
      return render_table(grid, options);
    case Format::csv:
      return render_csv(grid, options);
    case Format::json:
      return render_json(grid);
    case Format::list:
      break;
  }
  return render_list(grid, options);
}

}  // namespace heddle::cli
