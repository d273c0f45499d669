// The little JSON that a model file carries: parsed once, when the model is loaded.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace charon {

class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::map<std::string, Json>;

  // Throws std::runtime_error with the byte at which the text is no JSON.
  static Json parse(std::string_view text);

  Json() = default;
  explicit Json(bool value) : value_(value) {}
  explicit Json(double value) : value_(value) {}
  explicit Json(std::string value) : value_(std::move(value)) {}
  explicit Json(Array value) : value_(std::move(value)) {}
  explicit Json(Object value) : value_(std::move(value)) {}

  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool contains(const std::string &key) const;

  // Each throws std::runtime_error naming what was expected.
  const Json &at(const std::string &key) const;
  const Array &array() const;
  const std::string &string() const;
  double number() const;  // true and false count as 1 and 0
  int64_t integer() const;

 private:
  std::variant<std::monostate, bool, double, std::string, Array, Object> value_;
};

}  // namespace charon
