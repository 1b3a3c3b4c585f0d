/// A dataset by its full name.
package struct DatasetKey: Hashable, Sendable, Comparable {
    package var project: String
    package var dataset: String

    package init(project: String, dataset: String) {
        self.project = project
        self.dataset = dataset
    }

    /// `project:dataset`, the form of ids and of most messages.
    var legacyName: String { "\(project):\(dataset)" }

    package static func < (left: Self, right: Self) -> Bool {
        (left.project, left.dataset) < (right.project, right.dataset)
    }
}

/// A table or view by its full name.
package struct TableKey: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var project: String
    package var dataset: String
    package var table: String

    package init(project: String, dataset: String, table: String) {
        self.project = project
        self.dataset = dataset
        self.table = table
    }

    /// From `project.dataset.table`; nil for any other form.
    package init?(_ fullName: String) {
        let parts = fullName.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, parts.allSatisfy({ !$0.isEmpty }) else { return nil }
        self.init(project: parts[0], dataset: parts[1], table: parts[2])
    }

    package var datasetKey: DatasetKey { DatasetKey(project: project, dataset: dataset) }

    /// `project.dataset.table`.
    package var description: String { "\(project).\(dataset).\(table)" }

    /// `project:dataset.table`, the form of ids and of most messages.
    var legacyName: String { "\(project):\(dataset).\(table)" }

    package static func < (left: Self, right: Self) -> Bool { left.description < right.description }
}
