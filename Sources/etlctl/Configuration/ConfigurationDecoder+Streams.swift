import Extract

extension ConfigurationDecoder {
    func decodeStreams(
        _ section: ConfigurationSection, sources: [String: SourceConfiguration]
    ) throws(Failure) -> [StreamConfiguration] {
        var streams: [StreamConfiguration] = []
        for entry in section.entries {
            guard !entry.name.isEmpty, entry.name.unicodeScalars.allSatisfy(Self.isNameCharacter) else {
                throw reader.failure(
                    at: section.path, line: entry.line,
                    "\"\(entry.name)\" is no name for a stream: letters, digits, \"_\", \"-\" and \".\" are allowed")
            }
            let stream = try ConfigurationSection(entry.value, reader: reader)
            streams.append(try decodeStream(stream, name: entry.name, sources: sources))
        }
        return streams
    }

    private static func isNameCharacter(_ scalar: Unicode.Scalar) -> Bool {
        TableName.isPlain(scalar) || scalar == "-" || scalar == "."
    }

    private func decodeStream(
        _ section: ConfigurationSection, name: String, sources: [String: SourceConfiguration]
    ) throws(Failure) -> StreamConfiguration {
        let (sourceName, source) = try self.source(of: section, sources: sources)
        let kind = source.kind
        try section.accept(Key.Stream.all, for: kind)
        let input = try self.input(of: section, kind: kind)
        let watermark = try section.text(Key.Stream.watermark)
        let mode =
            try section.choice(Key.Stream.mode, as: StreamMode.self) ?? (watermark == nil ? .full : .incremental)
        try checkWatermark(watermark, mode: mode, kind: kind, section: section)
        let key = try section.texts(Key.Stream.key)
        if let key, key.isEmpty { throw section.failure(Key.Stream.key, "expected at least one column") }
        let fields = try self.fields(of: section)
        let rename = try self.rename(of: section, fields: fields)
        return StreamConfiguration(
            name: name, source: sourceName, kind: kind, input: input, mode: mode, watermark: watermark,
            lookback: try section.lookback(Key.Stream.lookback), key: key ?? [],
            table: try table(of: section, name: name), fields: fields, rename: rename,
            types: try types(of: section, rename: rename),
            nested: try section.choice(Key.Stream.nested, as: NestedForm.self) ?? .string,
            parallel: Int(try section.number(Key.Stream.parallel)),
            generation: try section.number(Key.Stream.generation),
            maximumReads: try section.number(Key.Stream.maxReads),
            files: kind == .files ? try fileOptions(of: section) : nil)
    }

    private func source(
        of section: ConfigurationSection, sources: [String: SourceConfiguration]
    ) throws(Failure) -> (String, SourceConfiguration) {
        let names = sources.keys.sorted()
        let known = names.isEmpty ? "The file configures no sources." : "Sources: \(names.joined(separator: ", "))."
        guard let name = try section.text(Key.Stream.source) else {
            // A misspelt key is the likelier reason, and the better message.
            for entry in section.entries where !Key.Stream.all.contains(where: { $0.name == entry.name }) {
                throw section.unknown(entry, among: Key.Stream.all.map(\.name))
            }
            throw section.missing(Key.Stream.source, hint: known)
        }
        guard let source = sources[name] else {
            let nearest = NearestName.of(name, among: names).map { ", did you mean \"\($0)\"?" } ?? ""
            throw section.failure(Key.Stream.source, "no source \"\(name)\" is configured\(nearest)", hint: known)
        }
        return (name, source)
    }

    private func input(of section: ConfigurationSection, kind: SourceKind) throws(Failure) -> StreamInput {
        let from = try section.text(Key.Stream.from)
        let query = try section.text(Key.Stream.query)
        switch (from, query) {
        case (.some, .some):
            throw section.failure(
                Key.Stream.query, "a stream has either \"from\" or \"query\", and this one has both",
                hint: "Remove one of the two.")
        case (nil, let query?):
            return .query(query)
        case (let from?, nil):
            if kind == .firestore, let problem = FirestoreSource.problem(withFrom: from) {
                throw section.failure(Key.Stream.from, problem, hint: FirestoreSource.formsOfFrom)
            }
            return .from(from)
        case (nil, nil):
            let queryable = Key.Stream.query.kinds.contains(kind)
            throw reader.failure(
                at: section.path, line: section.line,
                "the key \"from\"\(queryable ? " (or \"query\")" : "") is missing",
                hint: kind == .firestore ? FirestoreSource.formsOfFrom : nil)
        }
    }

    private func checkWatermark(
        _ watermark: String?, mode: StreamMode, kind: SourceKind, section: ConfigurationSection
    ) throws(Failure) {
        if mode == .incremental, watermark == nil, kind != .files {
            throw reader.failure(
                at: section.path, line: section.entry(Key.Stream.mode.name)?.line ?? section.line,
                "mode incremental needs the key \"watermark\"",
                hint: "Name the field that grows with every change, or use mode: changes.")
        }
        guard kind == .firestore, let watermark else { return }
        let isReserved = watermark.hasPrefix("__") && watermark.hasSuffix("__") && watermark.utf8.count >= 4
        if isReserved || MetadataColumn.types[watermark] != nil {
            throw section.failure(
                Key.Stream.watermark,
                "\"\(watermark)\" is no field of the documents: Firestore can't order or filter by a document's"
                    + " updateTime, createTime or name",
                hint: "Name a field that your program writes, or use mode: changes, which needs none.")
        }
    }

    private func table(of section: ConfigurationSection, name: String) throws(Failure) -> String {
        guard let table = try section.text(Key.Stream.table) else { return TableName.derived(from: name) }
        guard TableName.isValid(table) else {
            throw section.failure(
                Key.Stream.table, "\"\(table)\" is no table id: letters, digits, _, - and spaces are allowed",
                hint: "Project and dataset are set under `destination`.")
        }
        return table
    }

    private func fields(of section: ConfigurationSection) throws(Failure) -> FieldSelection {
        let columns = try section.texts(Key.Stream.columns)
        let exclude = try section.texts(Key.Stream.exclude)
        if columns != nil, exclude != nil {
            throw section.failure(
                Key.Stream.exclude, "a stream has either \"columns\" or \"exclude\", and this one has both",
                hint: "Remove one of the two.")
        }
        return columns.map(FieldSelection.only) ?? exclude.map(FieldSelection.except) ?? .all
    }

    private func fileOptions(of section: ConfigurationSection) throws(Failure) -> FileOptions {
        let quote = try character(Key.Stream.quote, in: section, allowsEmpty: true)
        let delimiter = try character(Key.Stream.delimiter, in: section, allowsEmpty: false) ?? ","
        if quote == delimiter {
            throw section.failure(Key.Stream.quote, "\"quote\" and \"delimiter\" are the same character")
        }
        return FileOptions(
            format: try section.choice(Key.Stream.format, as: FileFormat.self),
            delimiter: delimiter, quote: quote,
            hasHeader: try section.flag(Key.Stream.header),
            encoding: try section.text(Key.Stream.encoding)?.lowercased() ?? "",
            nulls: try section.texts(Key.Stream.nulls, allowsEmptyText: true) ?? [""],
            onBadRow: try section.choice(Key.Stream.onBadRow, as: BadRowPolicy.self) ?? .reject)
    }

    private func character(
        _ key: ConfigurationKey, in section: ConfigurationSection, allowsEmpty: Bool
    ) throws(Failure) -> String? {
        guard var text = try section.text(key, allowsEmpty: allowsEmpty), !text.isEmpty else { return nil }
        if text == "\\t" { text = "\t" }
        guard text.utf8.count == 1, text != "\n", text != "\r", text != "\0" else {
            throw section.failure(
                key, "expected one ASCII character\(allowsEmpty ? ", or \"\" for none" : ""), such as \",\" or \"\\t\"")
        }
        return text
    }
}
