// SPDX-License-Identifier: Apache-2.0
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

// The first `most` characters.
std::string cut(const std::string& s, std::size_t most) {
  std::size_t characters = 0;
  for (std::size_t i = 0; i < s.size(); ++i) {
    if ((s[i] & 0xc0) != 0x80 && ++characters > most) return s.substr(0, i);
  }
  return s;
}

std::string html_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// UUIDs are shortened to their first digits and become links to their record (in _uuid: the link's target).
std::string html_cell(const Datum& datum, const ColumnSchema& column, DataStyle style) {
  auto text = html_text(cell(datum, column, style));
  const auto& type = column.type;
  if (type.key.type != AtomType::uuid && (!type.value || type.value->type != AtomType::uuid)) return text;
  constexpr std::size_t shown = 8;
  constexpr std::size_t length = 36;
  const char* tag = &column == &Catalog::uuid_column() ? "name=\"" : "href=\"#";
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const auto word = std::string_view(text).substr(i, length);
    if (word.size() == length && Uuid::parse(word)) {
      out += fmt::format("<a {}{}\">{}</a>", tag, word, word.substr(0, shown));
      i += length;
    } else {
      out += text[i++];
    }
  }
  return out;
}

void add_html_row(const std::vector<std::string>& cells, const char* tag, std::string& out) {
  out += "  <tr>\n";
  for (const auto& text : cells) out += fmt::format("    <{0}>{1}</{0}>\n", tag, text);
  out += "  </tr>\n";
}

std::string render_html(const Grid& grid, const Options& options) {
  std::string out = "<table border=1>\n";
  std::vector<std::string> cells;
  if (options.headings) {
    for (const auto* column : grid.columns) cells.push_back(html_text(column->name));
    add_html_row(cells, "th", out);
  }
  for (const auto& row : grid.rows) {
    cells.clear();
    for (std::size_t i = 0; i < row.size(); ++i) {
      cells.push_back(html_cell(row[i], *grid.columns[i], options.data));
    }
    add_html_row(cells, "td", out);
  }
  return out + "</table>\n";
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
  if (options.max_column_width != 0) {
    for (auto& line : lines) {
      for (std::size_t i = 0; i < line.size(); ++i) {
        const auto heading = options.headings ? width(grid.columns[i]->name) : 0;
        line[i] = cut(line[i], std::max(heading, options.max_column_width));
      }
    }
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

// JSON with one element per line and two blanks per level; closing brackets follow the last element on its line.
void add_pretty(const Json& value, int level, std::string& out) {
  if (!value.is_structured() || value.empty()) {
    out += ovsdb::dump_json(value);
    return;
  }
  const bool object = value.is_object();
  out += object ? '{' : '[';
  const char* comma = "";
  for (const auto& [key, member] : value.items()) {
    out += fmt::format("{}\n{:{}}", comma, "", 2 * (level + 1));
    if (object) out += ovsdb::dump_json(key) + ": ";
    add_pretty(member, level + 1, out);
    comma = ",";
  }
  out += object ? '}' : ']';
}

std::string render_json(const Grid& grid, bool pretty) {
  Json data = Json::array();
  Json headings = Json::array();
  for (const auto* column : grid.columns) headings.push_back(column->name);
  for (const auto& row : grid.rows) {
    Json line = Json::array();
    for (std::size_t i = 0; i < row.size(); ++i) line.push_back(to_json(row[i], grid.columns[i]->type));
    data.push_back(std::move(line));
  }
  const Json table{{"headings", std::move(headings)}, {"data", std::move(data)}};
  std::string out;
  if (pretty) {
    add_pretty(table, 0, out);
  } else {
    out = ovsdb::dump_json(table);
  }
  return out + "\n";
}

}  // namespace

std::string render(const Grid& grid, const Options& options) {
  switch (options.format) {
    case Format::table:
      return render_table(grid, options);
    case Format::csv:
      return render_csv(grid, options);
    case Format::json:
      return render_json(grid, options.pretty);
    case Format::html:
      return render_html(grid, options);
    case Format::list:
      break;
  }
  return render_list(grid, options);
}

}  // namespace heddle::cli
