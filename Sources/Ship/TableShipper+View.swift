internal import JSONBytes
internal import Spool

extension TableShipper {
    /// Creates the latest view or brings it up to date, where something changed since it was last written.
    ///
    /// What goes wrong with a view is a warning: rows are delivered without it, and the next run tries again.
    func keepViews() async throws {
        guard configuration.latestViews, let view = try await wantedView(),
            keeper.record.viewQuery != view.query, now >= viewDue
        else { return }
        viewDue = now + Self.lookInterval
        do throws(BigQueryError) {
            guard try await write(view) else { return }
        } catch {
            return shared.report(
                .warning(
                    code: "view_failed", message: "the view \(view.reference) was not written: \(error.message)",
                    table: table.description))
        }
        try await keeper.rememberView(view.query)
        shared.report(.note(message: "wrote view \(view.reference)", table: table.description))
    }

    /// Nil while there is nothing to show, or nobody who knows how.
    func wantedView() async throws -> LatestView? {
        guard let schema = keeper.record.schema,
            let route = routes.last(where: { shared.streams[$0.route.stream] != nil })?.route
        else { return nil }
        let delivery = delivery(of: route)
        let planner: TablePlanner
        do {
            planner = try await TablePlanner(
                for: [route], deliveries: shared.streams, existing: nil, evolves: false, shared.spool)
        } catch is ShipStop {
            return nil
        }
        let content: LatestView.Content
        if delivery.isSnapshot {
            if let held = try await shared.spool.snapshotHeldUp(route), held.rejected > 0 {
                warnOnce(
                    "snapshot_held",
                    "the snapshot of run \(held.runID) is not shown: \(held.rejected) of its rows were rejected; see etlctl "
                        + "audit rows --state rejected, then etlctl retry or discard them")
            }
            guard
                let snapshot = try await shared.spool.snapshotToShow(
                    route, allowingEmpty: configuration.allowEmptySnapshot)
            else { return nil }
            content = .snapshot(run: snapshot.runID)
        } else if delivery.isFirestore {
            content = .newest(key: planner.name(of: .path), version: planner.name(of: .updatedAt))
        } else {
            content = .newest(key: planner.name(of: delivery.hasKey ? .id : .insertID), version: nil)
        }
        return LatestView(
            table: table, content: content, extractedAt: planner.name(of: .extractedAt),
            runID: planner.name(of: .runID), operation: planner.name(of: .operation),
            insertID: planner.name(of: .insertID), schema: schema)
    }

    /// - Returns: false if somebody's own view, or a table, stands in its place.
    private func write(_ view: LatestView) async throws(BigQueryError) -> Bool {
        let reference = view.reference
        let definition = JSONMember(
            "view", .object([JSONMember("query", .string(view.query)), JSONMember("useLegacySql", false)]))
        guard let found = try await shared.client.table(reference) else {
            guard configuration.create else { return false }
            _ = try await shared.client.create(
                reference,
                [
                    definition, JSONMember("labels", .object([JSONMember("tool", "etlctl")])),
                    JSONMember("description", .string("The latest rows of \(table.table); kept by etlctl")),
                ])
            return true
        }
        if found.viewQuery == view.query { return true }
        guard found.type == "VIEW", let query = found.viewQuery, LatestView.isOurs(query) else {
            warnOnce(
                "view_edited",
                found.type == "VIEW"
                    ? "the view \(reference) was edited and is left as it is; delete it to have it kept again"
                    : "\(reference) is a \(found.type.lowercased()), so there is no latest view of \(table)")
            return false
        }
        _ = try await shared.client.patch(reference, [definition], etag: found.etag)
        return true
    }

    func warnOnce(_ code: String, _ message: String) {
        guard warned.insert(code + message).inserted else { return }
        shared.report(.warning(code: code, message: message, table: table.description))
    }
}
