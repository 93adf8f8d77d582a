// SPDX-License-Identifier: Apache-2.0
#include "vswitchd/remotes.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <utility>

#include "base/log.h"
#include "vswitchd/tls_files.h"

namespace heddle::vswitchd {

namespace {

using ovsdb::Datum;
using ovsdb::RowRef;
using ovsdb::RowUpdate;

constexpr auto kStatusInterval = std::chrono::seconds(5);

ovsdb::RemoteOptions options_of(const RowRef& row) {
  ovsdb::RemoteOptions out;
  if (const auto ms = row->get("inactivity_probe").integer())
    out.probe = std::chrono::milliseconds(std::clamp<std::int64_t>(*ms, 0, 86'400'000));
  if (const auto ms = row->get("max_backoff").integer())
    out.max_backoff = std::chrono::milliseconds(std::clamp<std::int64_t>(*ms, 1000, 86'400'000));
  return out;
}

Datum status_of(const ovsdb::RemoteStatus& status) {
  std::map<std::string, std::string> out{{"state", status.state}};
  const auto seconds = [](TimePoint since) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - since).count());
  };
  if (!status.last_error.empty()) out["last_error"] = status.last_error;
  if (status.port != 0) out["bound_port"] = std::to_string(status.port);
  if (status.sessions > 1) out["n_connections"] = std::to_string(status.sessions);
  if (status.last_connect) out["sec_since_connect"] = seconds(*status.last_connect);
  if (status.last_disconnect) out["sec_since_disconnect"] = seconds(*status.last_disconnect);
  return Datum::map(out);
}

class ManagerRemotesImpl final : public ManagerRemotes {
 public:
  using Wanted = std::map<std::string, std::pair<ovsdb::Target, ovsdb::RemoteOptions>>;
  ManagerRemotesImpl(boost::asio::io_context& io, ovsdb::Database& database, ovsdb::RpcHandler& handler, Wanted fixed,
                     ovsdb::TlsFiles tls)
      : io_(io),
        database_(database),
        fixed_(std::move(fixed)),
        fixed_tls_(std::move(tls)),
        tls_(ovsdb::Tls::make()),
        remotes_(io, handler, tls_, [this] { status_soon(); }),
        timer_(io),
        observer_(database.add_observer([this](const ovsdb::Change& change) { changed(change); })) {
    configure();
  }
  ~ManagerRemotesImpl() override { database_.remove_observer(observer_); }
  ManagerRemotesImpl(const ManagerRemotesImpl&) = delete;
  ManagerRemotesImpl& operator=(const ManagerRemotesImpl&) = delete;

  [[nodiscard]] std::map<std::string, ovsdb::RemoteStatus> statuses() const override { return remotes_.statuses(); }

 private:
  // Later, because a session whose request it is may be among those that have to go.
  void changed(const ovsdb::Change& change) {
    const bool concerned = std::any_of(change.rows.begin(), change.rows.end(), [](const ovsdb::RowChange& row) {
      if (row.table->name == "Open_vSwitch") return row.changed("manager_options") || row.changed("ssl");
      if (row.table->name == "Manager")
        return row.changed("target") || row.changed("inactivity_probe") || row.changed("max_backoff");
      return row.table->name == "SSL";
    });
    if (!concerned || std::exchange(posted_, true)) return;
    boost::asio::post(io_, [this, alive = std::weak_ptr(alive_)] {
      if (alive.expired()) return;
      posted_ = false;
      configure();
    });
  }

  void configure() {
    Wanted wanted = fixed_;
    managers_.clear();
    for (const RowRef& root : database_.rows("Open_vSwitch"))
      for (const auto& uuid : root->get("manager_options").uuids())
        if (const RowRef row = database_.find("Manager", uuid)) add(row, wanted);
    tls_->use(tls_files(database_, fixed_tls_));
    remotes_.set(wanted);
    write_status();
  }

  void add(const RowRef& row, Wanted& wanted) {
    const std::string text = row->get("target").string_or("");
    auto target = ovsdb::Target::parse(text);
    if (target)
      wanted.insert_or_assign(text, std::pair(*target, options_of(row)));
    else
      spdlog::error("Manager row: {}", target.error().text);
    managers_[row->uuid()] = target ? std::string() : target.error().text;
  }

  // Later, because a remote may say so from within anything.
  void status_soon() {
    if (managers_.empty() || std::exchange(status_posted_, true)) return;
    boost::asio::post(io_, [this, alive = std::weak_ptr(alive_)] {
      if (alive.expired()) return;
      status_posted_ = false;
      write_status();
    });
  }

  // Time passes in it, so it is written again and again while there are managers.
  void write_status() {
    std::vector<RowUpdate> updates;
    for (const auto& [uuid, error] : managers_) {
      const RowRef row = database_.find("Manager", uuid);
      if (!row) continue;
      const auto status = remotes_.status(row->get("target").string_or(""));
      const Datum shown =
          status ? status_of(*status) : Datum::map(std::map<std::string, std::string>{{"last_error", error}});
      updates.push_back(
          {"Manager", uuid, {{"is_connected", Datum::of(status && status->connected)}, {"status", shown}}});
    }
    if (auto done = database_.update(updates); !done) spdlog::error("Manager status: {}", done.error().text);
    timer_.cancel();
    if (managers_.empty()) return;
    timer_.expires_after(kStatusInterval);
    timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& stopped) {
      if (!stopped && !alive.expired()) write_status();
    });
  }

  boost::asio::io_context& io_;
  ovsdb::Database& database_;
  Wanted fixed_;
  ovsdb::TlsFiles fixed_tls_;
  std::shared_ptr<ovsdb::Tls> tls_;
  std::map<ovsdb::Uuid, std::string> managers_;  // with what is wrong with the target
  bool posted_ = false;
  bool status_posted_ = false;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
  ovsdb::RpcRemotes remotes_;
  boost::asio::steady_timer timer_;
  ovsdb::Database::ObserverId observer_;
};

}  // namespace

Result<std::unique_ptr<ManagerRemotes>> ManagerRemotes::start(boost::asio::io_context& io, ovsdb::Database& database,
                                                              ovsdb::RpcHandler& handler, const RemoteConfig& config) {
  ManagerRemotesImpl::Wanted fixed;
  for (const std::string& text : config.remotes) {
    auto target = ovsdb::Target::parse(text);
    if (!target) return fail(Errc::invalid, "--remote: " + target.error().text);
    fixed.emplace(text, std::pair(std::move(*target), ovsdb::RemoteOptions{}));
  }
  return std::make_unique<ManagerRemotesImpl>(io, database, handler, std::move(fixed), config.tls);
}

}  // namespace heddle::vswitchd
