#include "json.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace charon {

namespace {

constexpr int deepest_nesting = 64;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Json document() {
    Json value = any(0);
    skip_blanks();
    if (position_ != text_.size()) fail("the end");
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string &expected) const {
    throw std::runtime_error("expected " + expected + " at byte " + std::to_string(position_) + " of the JSON text");
  }

  void skip_blanks() {
    while (position_ < text_.size() && std::string_view(" \t\n\r").find(text_[position_]) != std::string_view::npos)
      ++position_;
  }

  bool accept(char wanted) {
    skip_blanks();
    if (position_ >= text_.size() || text_[position_] != wanted) return false;
    ++position_;
    return true;
  }

  bool accept_word(std::string_view word) {
    if (text_.substr(position_, word.size()) != word) return false;
    position_ += word.size();
    return true;
  }

  Json any(int depth) {
    if (depth > deepest_nesting) fail("less nesting");
    if (accept('{')) return object(depth);
    if (accept('[')) return array(depth);
    if (accept('"')) return Json(string());
    if (accept_word("true")) return Json(true);
    if (accept_word("false")) return Json(false);
    if (accept_word("null")) return Json();
    return Json(number());
  }

  Json object(int depth) {
    Json::Object members;
    if (accept('}')) return Json(std::move(members));
    do {
      if (!accept('"')) fail("a key");
      std::string key = string();
      if (!accept(':')) fail("':'");
      members[std::move(key)] = any(depth + 1);
    } while (accept(','));
    if (!accept('}')) fail("'}'");
    return Json(std::move(members));
  }

  Json array(int depth) {
    Json::Array items;
    if (accept(']')) return Json(std::move(items));
    do items.push_back(any(depth + 1));
    while (accept(','));
    if (!accept(']')) fail("']'");
    return Json(std::move(items));
  }

  double number() {
    if (accept_word("NaN")) return std::numeric_limits<double>::quiet_NaN();
    if (accept_word("Infinity")) return std::numeric_limits<double>::infinity();
    if (accept_word("-Infinity")) return -std::numeric_limits<double>::infinity();
    double value = 0.0;
    const char *begin = text_.data() + position_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error != std::errc()) fail("a value");
    position_ += end - begin;
    return value;
  }

  std::string string() {
    std::string value;
    while (position_ < text_.size() && text_[position_] != '"') {
      const char c = text_[position_++];
      value += c == '\\' ? escaped() : std::string(1, c);
    }
    if (position_++ >= text_.size()) fail("'\"'");
    return value;
  }

  std::string escaped() {
    static constexpr std::string_view codes = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    if (position_ >= text_.size()) fail("an escaped character");
    const char code = text_[position_++];
    if (code == 'u') return utf8(code_point());
    const auto found = codes.find(code);
    if (found == std::string_view::npos) fail("an escaped character");
    return std::string(1, meanings[found]);
  }

  unsigned code_unit() {
    unsigned value = 0;
    const char *begin = text_.data() + position_;
    if (position_ + 4 > text_.size() || std::from_chars(begin, begin + 4, value, 16).ptr != begin + 4)
      fail("four hexadecimal digits");
    position_ += 4;
    return value;
  }

  unsigned code_point() {
    const unsigned first = code_unit();
    if (first < 0xD800 || first > 0xDBFF) return first;
    if (!accept_word("\\u")) fail("the second half of a surrogate pair");
    return 0x10000 + ((first - 0xD800) << 10) + (code_unit() - 0xDC00);
  }

  static std::string utf8(unsigned code) {
    const auto tail = [code](int shift) { return static_cast<char>(0x80 | ((code >> shift) & 0x3F)); };
    if (code < 0x80) return {static_cast<char>(code)};
    if (code < 0x800) return {static_cast<char>(0xC0 | (code >> 6)), tail(0)};
    if (code < 0x10000) return {static_cast<char>(0xE0 | (code >> 12)), tail(6), tail(0)};
    return {static_cast<char>(0xF0 | (code >> 18)), tail(12), tail(6), tail(0)};
  }

  std::string_view text_;
  size_t position_ = 0;
};

}  // namespace

Json Json::parse(std::string_view text) { return Parser(text).document(); }

bool Json::contains(const std::string &key) const {
  const auto *members = std::get_if<Object>(&value_);
  return members != nullptr && members->count(key) != 0;
}

const Json &Json::at(const std::string &key) const {
  if (!contains(key)) throw std::runtime_error("the key '" + key + "' is absent");
  return std::get<Object>(value_).at(key);
}

const Json::Array &Json::array() const {
  if (!is_array()) throw std::runtime_error("expected a list");
  return std::get<Array>(value_);
}

const std::string &Json::string() const {
  if (!std::holds_alternative<std::string>(value_)) throw std::runtime_error("expected a text");
  return std::get<std::string>(value_);
}

double Json::number() const {
  if (const auto *truth = std::get_if<bool>(&value_)) return *truth ? 1.0 : 0.0;
  if (!std::holds_alternative<double>(value_)) throw std::runtime_error("expected a number");
  return std::get<double>(value_);
}

int64_t Json::integer() const {
  const double value = number();
  if (value != std::floor(value) || std::abs(value) > 9.0e15) throw std::runtime_error("expected an integer");
  return static_cast<int64_t>(value);
}

}  // namespace charon
