// What fits which memory: one sentence where the recommended cell fits everywhere, else the fastest mix for each card.
#include <fmt/format.h>

#include <algorithm>

#include "reports/choice_groups.h"
#include "reports/format.h"

namespace stepscope {

namespace {

std::string size_text(std::int64_t bytes) { return format_bytes(static_cast<double>(bytes)); }

std::string everywhere_sentence(const Analysis& analysis, const std::string& smallest, std::int64_t left_bytes) {
  return fmt::format(
      "The fastest verified cell needs {} and fits every memory size known here, from {} on, where {} are left.",
      size_text(peak_bytes(analysis.best()->record)), smallest, size_text(left_bytes));
}

// "NVIDIA GeForce RTX 3090 24GB" -> "RTX 3090 24GB".
std::string short_title(std::string title) {
  for (const std::string_view word : {"NVIDIA ", "GeForce "})
    if (title.starts_with(word)) title.erase(0, word.size());
  return title;
}

// The first and the last of many.
std::string cards_text(const std::vector<std::string>& cards) {
  if (cards.size() == 1) return short_title(cards.front());
  return fmt::format("{} to {}", short_title(cards.front()), short_title(cards.back()));
}

Table cards_table(const Analysis& analysis, const std::vector<CardFit>& fits) {
  double time = 0, bytes = 0;
  for (const CardFit& fit : fits) {
    time = std::max(time, fit.step_ns);
    bytes = std::max(bytes, static_cast<double>(fit.needs_bytes));
  }
  const Unit times = time_unit(time), sizes = bytes_unit(bytes);
  Table table{
      .name = "cards",
      .caption = fmt::format(
          "The fastest mix of this run for each card's memory: the fastest measured cell, else any byte budget. "
          "Context "
          "and libraries are counted as the cards' files say, mostly estimated; N GB alone counts as N·10⁹ bytes. "
          "Bytes are those of a step here; times are of this machine, ≈ where they are predicted from the rates of {} "
          "on "
          "the scale of measured cells. stepscope advise --card NAME weighs by a card's own speeds.",
          analysis.run.choices->times_of),
      .columns = {{.title = "memory", .number = false},
                  {.title = "fastest mix that fits", .number = false},
                  {.title = "checkpointing", .number = false},
                  {.title = "needs", .unit = sizes.name},
                  {.title = "left", .help = "on the smallest of them"},
                  {.title = "step", .unit = times.name}}};
  for (const CardFit& fit : fits) {
    const auto needs = static_cast<double>(fit.needs_bytes);
    if (fit.group == nullptr) {
      table.rows.push_back({text_cell(cards_text(fit.cards)), text_cell("none: the least of all needs more", "muted"),
                            no_value(), number_cell(in(sizes, needs), needs), no_value(), no_value()});
      continue;
    }
    const bool best = fit.row == nullptr;
    const Record& record = analysis.best()->record;
    const std::string step = in(times, fit.step_ns);
    table.rows.push_back({text_cell(cards_text(fit.cards)),
                          text_cell(best ? analysis.names.label(record) : fit.group->title, best ? "best" : ""),
                          best ? text_cell("as measured", "muted") : text_cell(fit.row->value, "code"),
                          number_cell(in(sizes, needs), needs),
                          number_cell(size_text(fit.margin_bytes()), static_cast<double>(fit.margin_bytes())),
                          number_cell(fit.measured ? step : "≈ " + step, fit.step_ns)});
  }
  return table;
}

}  // namespace

std::vector<Block> fits_blocks(const Analysis& analysis) {
  const std::vector<Fit>& sizes = analysis.answer.fits;
  if (analysis.best() == nullptr || sizes.empty()) return {};
  const std::vector<CardFit> fits = card_fits(analysis);
  if (!fits.empty() && fits.front().group != nullptr && fits.front().row == nullptr)
    return {paragraph(everywhere_sentence(analysis, fits.front().cards.front(), fits.front().margin_bytes()))};
  if (!fits.empty()) return {block(cards_table(analysis, fits))};
  const auto fits_best = [&](const Fit& fit) { return fit.cell == analysis.best(); };
  if (!std::ranges::all_of(sizes, fits_best)) return {};
  const auto smallest = std::ranges::min_element(sizes, {}, &Fit::bytes);
  return {
      paragraph(everywhere_sentence(analysis, smallest->size, smallest->bytes - peak_bytes(analysis.best()->record)))};
}

}  // namespace stepscope
