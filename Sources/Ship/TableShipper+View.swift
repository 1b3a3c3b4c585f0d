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
        try await keeper.remember(view)
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
        let columns = ColumnSchema.names(inSignature: schema)
        func expression(_ column: MetadataColumn) -> String { planner.expression(of: column, among: columns) }
        let content: LatestView.Content
        if delivery.isSnapshot {
            if let held = try await shared.spool.snapshotHeldUp(route), held.rejected > 0 {
                warnOnce(
                    "snapshot_held",
                    "the snapshot of run \(held.runID) is not shown: \(held.rejected) of its rows were rejected; see etlctl "
                        + "audit rows --state rejected, then etlctl retry or discard them")
            }
            let snapshot = try await shared.spool.snapshotToShow(
                route, allowingEmpty: configuration.allowEmptySnapshot, shown: keeper.record.shownRun)
            if let newest = try await shared.spool.snapshotToShow(route), newest.runID != snapshot?.runID {
                warnOnce(
                    "snapshot_empty",
                    "the snapshot of run \(newest.runID) has no row and is not shown; etlctl ship --allow-mass-delete shows it"
                )
            }
            guard let snapshot else { return nil }
            content = .snapshot(run: snapshot.runID)
        } else if delivery.isFirestore {
            content = .newest(key: expression(.path), version: expression(.updatedAt))
        } else {
            content = .newest(key: expression(delivery.hasKey ? .id : .insertID), version: nil)
        }
        return LatestView(
            table: table, content: content, extractedAt: expression(.extractedAt), runID: expression(.runID),
            operation: expression(.operation), insertID: expression(.insertID), schema: schema, columns: columns)
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
