// SPDX-License-Identifier: Apache-2.0
#include "ovsdb/waits.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

namespace heddle::ovsdb {

struct Waits::Entry {
  explicit Entry(boost::asio::io_context& io) : timer(io) {}
  SessionId session = 0;
  Json id;
  Json operations;
  Responder respond;
  TimePoint since;
  std::string table;
  bool ready = false;  // the table has changed or the timeout has passed: try again
  boost::asio::steady_timer timer;
};

Waits::Waits(boost::asio::io_context& io, Database& database, Context context)
    : io_(io),
      database_(database),
      context_(std::move(context)),
      observer_(database.add_observer([this](const Change& change) { changed(change); })) {}

Waits::~Waits() {
  database_.remove_observer(observer_);
  for (const EntryRef& entry : entries_) entry->timer.cancel();
}

void Waits::add(SessionId session, const Json& id, Json operations, const TransactOutcome& outcome, Responder respond) {
  auto entry = std::make_shared<Entry>(io_);
  entry->session = session;
  entry->id = id;
  entry->operations = std::move(operations);
  entry->respond = std::move(respond);
  entry->since = Clock::now();
  park(entry, outcome);
  entries_.push_back(std::move(entry));
}

void Waits::park(const EntryRef& entry, const TransactOutcome& outcome) {
  entry->table = outcome.wait_table;
  entry->ready = false;
  entry->timer.cancel();
  if (!outcome.wait_timeout) return;
  entry->timer.expires_at(entry->since + *outcome.wait_timeout);
  entry->timer.async_wait([weak = weak_from_this(), entry](const boost::system::error_code& stopped) {
    const auto self = weak.lock();
    if (stopped || !self) return;
    entry->ready = true;
    self->retry();
  });
}

void Waits::changed(const Change& change) {
  bool any = false;
  for (const EntryRef& entry : entries_) {
    entry->ready = entry->ready || std::any_of(change.rows.begin(), change.rows.end(),
                                               [&](const RowChange& row) { return row.table->name == entry->table; });
    any = any || entry->ready;
  }
  if (any) retry_soon();
}

// Posted, so that all observers of the present commit are called before a retried transaction commits.
void Waits::retry_soon() {
  if (std::exchange(retry_posted_, true)) return;
  boost::asio::post(io_, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->retry_posted_ = false;
    self->retry();
  });
}

void Waits::retry() {
  const auto candidates = entries_;
  for (const EntryRef& entry : candidates) {
    if (!entry->ready) continue;
    entry->ready = false;
    TransactContext context = context_(entry->session);
    context.elapsed = Clock::now() - entry->since;
    auto outcome = database_.try_transact(entry->operations, context);
    if (outcome.blocked) {
      park(entry, outcome);
      continue;
    }
    entry->timer.cancel();
    entries_.remove(entry);
    entry->respond(RpcReply::ok(std::move(outcome.reply)));
  }
}

bool Waits::cancel(SessionId session, const Json& id) {
  const auto it = std::find_if(entries_.begin(), entries_.end(),
                               [&](const EntryRef& e) { return e->session == session && e->id == id; });
  if (it == entries_.end()) return false;
  const EntryRef entry = *it;
  entries_.erase(it);
  entry->ready = false;
  entry->timer.cancel();
  entry->respond(RpcReply::fail("canceled"));
  return true;
}

void Waits::drop(SessionId session) {
  entries_.remove_if([&](const EntryRef& entry) {
    if (entry->session != session) return false;
    entry->ready = false;
    entry->timer.cancel();
    return true;
  });
}

std::size_t Waits::count(SessionId session) const {
  return static_cast<std::size_t>(
      std::count_if(entries_.begin(), entries_.end(), [&](const EntryRef& e) { return e->session == session; }));
}

}  // namespace heddle::ovsdb
