// SPDX-License-Identifier: Apache-2.0
#include "overlay/evpn/vty.h"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <string_view>
#include <utility>

#include "base/limits.h"

namespace heddle::overlay::evpn {

namespace asio = boost::asio;
using asio::local::stream_protocol;

class Vty::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(asio::io_context& io, std::string path, Lost lost)
      : socket_(io), path_(std::move(path)), lost_(std::move(lost)) {}

  boost::system::error_code connect() {
    boost::system::error_code error;
    socket_.connect(stream_protocol::endpoint(path_), error);
    return error;
  }
  void ask(const std::string& command, Answer answer) {
    questions_.push_back({command + '\0', std::move(answer)});
    if (questions_.size() == 1) send();
  }
  [[nodiscard]] std::size_t waiting() const { return questions_.size(); }
  // Reads all the time, also without a question: the end of the stream is news.
  void read() {
    socket_.async_read_some(asio::buffer(part_), [self = shared_from_this()](const auto& error, std::size_t size) {
      if (error)
        self->lose(error == asio::error::eof ? "it ended" : error.message());
      else
        self->take(size);
    });
  }
  // Nothing is called any more.
  void drop() {
    lost_ = {};
    questions_.clear();
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

 private:
  struct Question {
    std::string command;
    Answer answer;
  };
  void send() {
    asio::async_write(socket_, asio::buffer(questions_.front().command),
                      [self = shared_from_this()](const auto& error, std::size_t) {
                        if (error) self->lose(error.message());
                      });
  }
  void take(std::size_t size) {
    constexpr std::string_view kEnd("\0\0\0", 3);
    text_.append(part_.data(), size);
    const bool complete = text_.size() >= 4 && std::string_view(text_).substr(text_.size() - 4, 3) == kEnd;
    if (!complete) {
      if (text_.size() > limits::kVtyAnswer) return lose("its answer is too long");
      return read();
    }
    std::string text = std::exchange(text_, {});
    text.resize(text.size() - 4);
    if (!questions_.empty()) {
      const Question question = std::move(questions_.front());
      questions_.pop_front();
      if (!questions_.empty()) send();
      question.answer(text);
    }
    if (socket_.is_open()) read();
  }
  void lose(const std::string& why) {
    const Lost lost = std::exchange(lost_, {});
    drop();
    if (lost) lost(path_ + ": " + why);
  }

  stream_protocol::socket socket_;
  std::string path_;
  Lost lost_;
  std::deque<Question> questions_;
  std::string text_;
  std::array<char, 65536> part_{};
};

Vty::Vty(std::shared_ptr<Session> session) : session_(std::move(session)) {}
Vty::~Vty() { session_->drop(); }

Result<std::unique_ptr<Vty>> Vty::open(asio::io_context& io, const std::string& path, Lost lost) {
  if (path.size() >= 108) return fail(Errc::invalid, path + " is too long for a unix socket");  // sun_path, unix(7)
  auto session = std::make_shared<Session>(io, path, std::move(lost));
  if (const auto error = session->connect(); error) return fail(Errc::system, path + ": " + error.message());
  session->read();
  return std::unique_ptr<Vty>(new Vty(std::move(session)));
}

void Vty::ask(const std::string& command, Answer answer) { session_->ask(command, std::move(answer)); }
std::size_t Vty::waiting() const { return session_->waiting(); }

}  // namespace heddle::overlay::evpn
