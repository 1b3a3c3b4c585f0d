internal import Spool

extension TableShipper {
    /// BigQuery allows five metadata updates of a table in ten seconds (quotas page).
    private static let betweenChanges: Duration = .seconds(2)

    /// Before anything goes to a settling table it must be known whether BigQuery can be asked about it.
    var needsProbe: Bool { keeper.isSettling && canAsk == nil }

    /// Looks at the table, creates or extends it, and plans how rows get into it, as far as that is due.
    func keepTable() async throws {
        if sentSinceLook, let lookedAt, now - lookedAt >= Self.lookInterval { needsLook = true }
        guard needsLook || needsPlan || needsProbe, now >= metadataDue, !isPreparing, !isWriting else { return }
        do {
            if needsLook { try await look() }
            if needsPlan { try await makePlan() }
            if needsProbe, let plan { try await probe(plan) }
            metadataAttempts = 0
            failingSince[.metadata] = nil
        } catch let stop as ShipStop {
            ending = .refused(stop)
        } catch let error as BigQueryError {
            metadataFailed(error)
        }
    }

    private func look() async throws {
        let look = try await keeper.look()
        if look == .agreed {
            if insertDisagrees { try await keeper.settleAnew() }
        } else {
            doubtUnsettled()
            let doubted = try await keeper.accept(look)
            forget(doubted)
            if doubted > 0 { hasSettlingDoubt = true }
            for (id, request) in waiting where request.doubt == .settling {
                waiting[id] = nil
                hasSettlingDoubt = true
            }
            needsPlan = true
        }
        insertDisagrees = false
        needsLook = false
        sentSinceLook = false
        lookedAt = now
        judgePostponed(afterChange: look != .agreed)
    }

    /// Accepted by what may not have been the table: not delivered after all.
    private func doubtUnsettled() {
        for index in unsettled.indices where unsettled[index].settlement.rest == .delivered {
            guard unsettled[index].delivered > 0, !unsettled[index].settlement.clearsDoubt else { continue }
            unsettled[index].settlement.rest = .inDoubt(.settling)
            unsettled[index].inDoubt = unsettled[index].delivered
            unsettled[index].delivered = 0
            unsettled[index].raisesDoubt = .settling
        }
    }

    /// Rows counted as delivered that are in doubt again.
    private func forget(_ rows: Int) {
        var left = rows
        for number in summaries.keys.sorted() {
            let taken = min(left, summaries[number]?.delivered ?? 0)
            summaries[number]?.delivered -= taken
            left -= taken
        }
    }

    private func probe(_ plan: TablePlan) async throws {
        let verification = Verification(
            table: table, location: keeper.info?.location ?? configuration.location,
            extractedAt: plan.expression(of: .extractedAt), insertID: plan.expression(of: .insertID))
        do throws(BigQueryError) {
            try await verification.probe(shared.client)
            canAsk = true
        } catch {
            guard error.isMissingPermission else { throw error }
            canAsk = false
            shared.report(
                .warning(
                    code: "verify_denied",
                    message: "\(table) is new or was changed, and BigQuery does not let us ask which rows arrived "
                        + "(\(error.message)); nothing is sent to it until it has settled. Grant "
                        + "roles/bigquery.jobUser on the project to go on at once", table: table.description))
        }
    }

    private func metadataFailed(_ error: BigQueryError) {
        switch error.kind {
        case .denied:
            ending = .refused(
                ShipStop(
                    .denied, error.message,
                    hint: "grant roles/bigquery.dataEditor on dataset \(table.dataset) and run etlctl check"))
        case .badRequest:
            ending = .refused(
                ShipStop(
                    .badRequest, error.message, hint: "mend the table or the configuration and run etlctl ship again"))
        case .configuration, .notFound:
            ending = .refused(ShipStop(.configuration, error.message, hint: "check destination in the configuration"))
        case .preconditionFailed, .alreadyExists:
            // Somebody else was faster: see what is there now.
            needsLook = true
            metadataAttempts += 1
            metadataDue = now + configuration.retry.delay(attempt: metadataAttempts)
        case .transient, .rateLimited:
            fail(.metadata, error.message)
            metadataAttempts += 1
            metadataDue = now + configuration.retry.delay(attempt: metadataAttempts, retryAfter: error.retryAfter)
        case .cancelled:
            break
        }
    }

    // MARK: The plan

    private func makePlan() async throws {
        let planner = try await planner()
        if let conflict = planner.conflictingDescription() {
            throw ShipStop(.configuration, "\(table): \(conflict)", hint: Self.descriptionHint)
        }
        var plan = planner.plan()
        if let problem = plan.problem {
            throw ShipStop(
                .configuration, "\(table) can't be used: \(problem)",
                hint: "set another table for the stream, or add the column")
        }
        if keeper.info == nil {
            try await create(plan)
            plan = try await self.planner().plan()
        } else if !plan.newColumns.isEmpty {
            if let last = lastChangeOfOurs, now - last < Self.betweenChanges {
                metadataDue = last + Self.betweenChanges
                return
            }
            lastChangeOfOurs = now
            try await keeper.add(plan.newColumns)
            plan = try await self.planner().plan()
        }
        if let first = plan.columnsWithoutRoom.first {
            warnOnce(
                "too_many_columns",
                "\(table) is full: BigQuery has at most \(TablePlanner.maximumColumns) columns, so "
                    + "\(plan.columnsWithoutRoom.count) fields go to \(plan.name(of: .rescued)), from \(first) on")
        }
        self.plan = plan
        packer = RequestPacker(
            plan: plan,
            limits: RequestPacker.Limits(rows: configuration.maximumRowsPerRequest, bytes: bytesPerRequest),
            compresses: configuration.compresses, pool: shared.pool)
        needsPlan = false
    }

    private static let descriptionHint =
        "the table was written by a spool that knew the fields under other names: restore that spool, rename the field, "
        + "or use another table"

    private func create(_ plan: TablePlan) async throws {
        guard configuration.create else {
            throw ShipStop(
                .configuration, "table \(table) does not exist, and with create: false it is not made",
                hint: "create it, or set destination.create: true")
        }
        let isFirestore = routes.contains { delivery(of: $0.route).isFirestore }
        lastChangeOfOurs = now
        try await keeper.create(
            plan.newColumns, clusteredBy: plan.name(of: isFirestore ? .path : .id),
            partitionedBy: plan.name(of: .extractedAt), streams: routes.map(\.route.stream))
    }

    func delivery(of route: Route) -> StreamDelivery {
        shared.streams[route.stream] ?? StreamDelivery(name: route.stream)
    }

    private func planner() async throws -> TablePlanner {
        try await TablePlanner(
            for: routes.map(\.route), deliveries: shared.streams, existing: keeper.info?.columns,
            evolves: configuration.evolveSchema, shared.spool)
    }
}

extension TablePlanner {
    /// Gathers what the spool and the configuration know about the routes into one table.
    init(
        for routes: [Route], deliveries: [String: StreamDelivery], existing: [ColumnSchema]?, evolves: Bool,
        _ spool: SpoolStore
    ) async throws {
        self.init(shapes: [], existing: existing, evolves: evolves)
        for route in routes {
            for shape in try await spool.shapes(of: route) {
                guard let definition = ShapeDefinition(shape) else {
                    throw ShipStop(
                        .configuration,
                        "rows of stream \(route.stream) were spooled in a form this etlctl does not know",
                        hint: "update etlctl")
                }
                shapes.append(definition)
            }
            for (field, column) in try await spool.columnNames(stream: route.streamNumber) {
                fields[column] = field.string
            }
            guard let delivery = deliveries[route.stream] else { continue }
            for (column, type) in delivery.types { pins[column] = ColumnType(name: type) }
            renamedMetadata.merge(delivery.renamedMetadata) { first, _ in first }
        }
    }

    /// A column that holds another field than the one we would put there, in words; nil if there is none.
    func conflictingDescription() -> String? {
        guard let existing else { return nil }
        let columns = Dictionary(
            fields.map { ($0.key.lowercased(), $0.value) }, uniquingKeysWith: { first, _ in first })
        let known = Set(fields.values.map(\.exact))
        for column in existing {
            guard let field = columns[column.name.lowercased()], let description = column.description,
                !description.isEmpty, description.exact != field.limited(toUTF16: 1024).exact
            else { continue }
            if known.contains(description.exact) || Self.couldBeColumn(column.name, ofField: description) {
                return
                    "column \(column.name) holds the field \"\(description)\" by its description, but here it is the "
                    + "column of the field \"\(field)\""
            }
        }
        return nil
    }

    /// Whether a field of this name could have been given this column: the same characters, but for those that a column can't have.
    private static func couldBeColumn(_ column: String, ofField field: String) -> Bool {
        let clean = String(
            field.unicodeScalars.map { scalar -> Character in
                let isPlain = scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))
                return isPlain ? Character(scalar) : "_"
            }
        ).lowercased()
        let name = column.lowercased()
        if [clean, "_" + clean, "c_" + clean].contains(name) { return true }
        guard let underscore = name.lastIndex(of: "_"), Int(name[name.index(after: underscore)...]) != nil else {
            return false
        }
        return clean == name[..<underscore]
    }
}
