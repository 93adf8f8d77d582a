// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "ovsdb/rpc_server.h"

namespace heddle::ovsdb {

RpcReply RpcReply::fail(std::string_view word, std::string_view details) {
  return fail(Json{{"error", word}, {"details", details}});
}

RpcMethods::RpcMethods() {
  add("echo", [](const Json& params) { return RpcReply::ok(params); });
}

void RpcMethods::add(std::string name, Method method) {
  add_deferred(std::move(name),
               [method = std::move(method)](const Json& params, const Responder& respond) { respond(method(params)); });
}

void RpcMethods::add_deferred(std::string name, DeferredMethod method) {
  methods_.insert_or_assign(std::move(name), std::move(method));
}

void RpcMethods::request(RpcSession& session, const Json& id, const std::string& method, const Json& params,
                         Responder respond) {
  (void)session, (void)id;
  const auto it = methods_.find(method);
  if (it == methods_.end()) return respond(RpcReply::fail("unknown method"));
  it->second(params, std::move(respond));
}

}  // namespace heddle::ovsdb
