import JSONBytes
import Testing

@testable import Ship

struct PlannerTests {
    struct Choice: Sendable, CustomTestStringConvertible {
        var types: [String]
        var expected: ColumnType?

        init(_ types: String..., expected: ColumnType?) {
            self.types = types
            self.expected = expected
        }

        var testDescription: String { types.joined(separator: " ") + " -> " + (expected?.rawValue ?? "no column") }
    }

    /// Each type with how many rows brought it: `INT64*3`.
    static let choices: [Choice] = [
        Choice("NULL*5", expected: nil), Choice("NULL*5", "BOOL*1", expected: .bool),
        Choice("INT64*1", "INT64_LARGE*1", expected: .int64), Choice("INT64*1", "NUMERIC*1", expected: .numeric),
        Choice("INT64*1", "NUMERIC*9", "BIGNUMERIC*1", expected: .bignumeric),
        Choice("INT64*9", "FLOAT64*1", expected: .float64), Choice("INT64_LARGE*9", "FLOAT64*1", expected: .int64),
        Choice("INT64_LARGE*1", "FLOAT64*9", expected: .float64),
        Choice("INT64_LARGE*2", "FLOAT64*2", expected: .string),
        Choice("STRING*1", "INT64*9", expected: .int64), Choice("STRING*9", "INT64*1", expected: .string),
        Choice("TIMESTAMP*500", "STRING*50", "INT64*30", "JSON_TEXT*20", expected: .timestamp),
        Choice("STRING*3", "JSON_TEXT*3", "INT64*5", expected: .string), Choice("JSON_TEXT*3", expected: .string),
        Choice("JSON*3", expected: .json), Choice("DATE*2", "TIMESTAMP*2", expected: .string),
        Choice("?INT64*9", "?STRING*1", expected: .string), Choice("?INT64*9", "?FLOAT64*1", expected: .float64),
        Choice("?DATE*9", "?TIMESTAMP*1", expected: .string), Choice("?DATE*9", "?NULL*3", expected: .date),
        Choice("STRING*9", "TIMESTAMP!*1", expected: .timestamp),
    ]

    @Test(arguments: choices)
    func `a column's type follows what was spooled`(_ choice: Choice) throws {
        var shapes: [ShapeDefinition] = []
        for (index, text) in choice.types.enumerated() {
            let parts = text.split(separator: "*")
            let rows = try #require(Int(parts[1]))
            let shape = ShapeDefinition(number: Int64(index), rows: rows, definition: "c\t\(parts[0])\t")
            shapes.append(try #require(shape))
        }
        #expect(TablePlanner(shapes: shapes).chosenTypes()["c"] == choice.expected)
    }

    private func shape(_ columns: [ShapeColumn], number: Int64 = 1, rows: Int = 1) -> ShapeDefinition {
        ShapeDefinition(number: number, rows: rows, columns: columns)
    }

    private static let metadata = MetadataColumn.allCases.map { ColumnSchema($0.rawValue, $0.type) }

    @Test func `a pin wins over what was spooled, and makes its column from the start`() {
        var planner = TablePlanner(shapes: [shape([ShapeColumn(name: "a", type: .string)])])
        planner.pins = ["a": .timestamp, "later": .json]
        let columns = Dictionary(uniqueKeysWithValues: planner.plan().newColumns.map { ($0.name, $0.type) })
        #expect(columns["a"] == .timestamp)
        #expect(columns["later"] == .json)
    }

    @Test func `rows whose columns all fit are sent as they were spooled`() {
        let columns = [
            ShapeColumn(name: "_id", type: .string, role: .id), ShapeColumn(name: "a", type: .int64),
            ShapeColumn(name: "b", type: .null),
        ]
        var planner = TablePlanner(shapes: [shape(columns)])
        planner.existing = Self.metadata + [ColumnSchema("a", .int64), ColumnSchema("b", .timestamp)]
        #expect(planner.plan().encodings[1] == .verbatim)
        planner.existing = Self.metadata + [ColumnSchema("A", .int64), ColumnSchema("b", .timestamp)]
        #expect(planner.plan().encodings[1] != .verbatim)
    }

    @Test func `a field that has only been null is left out until a value brings its column`() throws {
        let planner = TablePlanner(shapes: [shape([ShapeColumn(name: "b", type: .null)])])
        let plan = planner.plan()
        #expect(!plan.newColumns.contains { $0.name == "b" })
        guard case .members(let members) = plan.encodings[1] else {
            Issue.record("the null must not be sent")
            return
        }
        #expect(members.first?.action == .omit)
    }

    @Test func `freeze adds nothing and rescues new fields`() {
        var planner = TablePlanner(shapes: [shape([ShapeColumn(name: "new", type: .int64)])])
        planner.existing = Self.metadata
        planner.evolves = false
        let plan = planner.plan()
        #expect(plan.newColumns.isEmpty)
        guard case .members(let members) = plan.encodings[1] else {
            Issue.record("the value must be rescued")
            return
        }
        #expect(members.first?.action == .rescue(writesNull: false))
    }

    @Test func `freeze does without nothing that etlctl needs`() {
        var planner = TablePlanner(shapes: [shape([ShapeColumn(name: "a", type: .int64)])])
        planner.existing = [ColumnSchema("a", .int64)]
        planner.evolves = false
        #expect(planner.plan().problem?.contains("_extracted_at") == true)
    }

    @Test func `metadata renamed onto a field's column of another type stop the table`() {
        var planner = TablePlanner(
            shapes: [
                shape([
                    ShapeColumn(name: "id", type: .string, role: .id), ShapeColumn(name: "a", type: .int64),
                ])
            ])
        planner.existing = Self.metadata + [ColumnSchema("a", .int64), ColumnSchema("id", .string)]
        #expect(planner.plan().problem == nil)
        planner.existing = Self.metadata + [ColumnSchema("a", .int64), ColumnSchema("id", .int64)]
        #expect(planner.plan().problem?.contains("its column id is NULLABLE INT64") == true)
    }

    @Test func `a table has ten thousand columns and no more`() {
        let columns = (0..<10_050).map { ShapeColumn(name: "f\($0)", type: .int64) }
        let plan = TablePlanner(shapes: [shape(columns)]).plan()
        #expect(plan.newColumns.count == 10_000)
        #expect(plan.columnsWithoutRoom.count == 10_050 - (10_000 - 6))
    }

    @Test func `a REQUIRED column without a value refuses the row and says so`() throws {
        var required = ColumnSchema("must", .string)
        required.mode = .required
        var planner = TablePlanner(shapes: [shape([ShapeColumn(name: "a", type: .int64)])])
        planner.existing = Self.metadata + [required, ColumnSchema("a", .int64)]
        guard case .impossible(let message) = planner.plan().encodings[1] else {
            Issue.record("the row can't be taken")
            return
        }
        #expect(message.contains("must") && message.contains("REQUIRED"))
    }

    @Test func `renamed metadata columns are found by what they are`() {
        let columns = [ShapeColumn(name: "id", type: .string, role: .id), ShapeColumn(name: "_id", type: .string)]
        let plan = TablePlanner(shapes: [shape(columns)]).plan()
        #expect(plan.name(of: .id) == "id")
        #expect(plan.newColumns.contains { $0.name == "id" && $0.description == MetadataColumn.id.description })
    }

    static let descriptions: [(column: String, description: String, isConflict: Bool)] = [
        ("a_b", "a-b", false), ("a_b", "a b", true), ("a_b", "", false), ("a_b", "Customer's first name", false),
        ("a_b", "other", true), ("A_B", "a.b", true), ("a_b", "a_b", true),
    ]

    @Test(arguments: descriptions)
    func `a column that holds another field by its description is a conflict`(
        _ column: String, _ description: String, _ isConflict: Bool
    ) {
        var planner = TablePlanner(shapes: [])
        planner.fields = ["a_b": "a-b", "other": "other"]
        planner.existing = [ColumnSchema(column, .string, description: description)]
        let conflict = planner.conflictingDescription()
        #expect((conflict != nil) == isConflict)
        if isConflict { #expect(conflict?.contains(description) == true && conflict?.contains("a-b") == true) }
    }

    @Test func `a description that only looks like the field's name is another field's`() {
        var planner = TablePlanner(shapes: [])
        planner.fields = ["_": "\u{E9}", "e_": "e\u{301}"]
        planner.existing = [ColumnSchema("_", .string, description: "e\u{301}")]
        #expect(planner.conflictingDescription() != nil)
        planner.existing = [ColumnSchema("_", .string, description: "\u{E9}")]
        #expect(planner.conflictingDescription() == nil)
    }

    // MARK: Encoding

    private func encode(_ payload: String, _ columns: [ShapeColumn], _ table: [ColumnSchema]) throws -> JSONValue {
        var planner = TablePlanner(shapes: [shape(columns)])
        planner.existing = Self.metadata + table
        planner.evolves = false
        let encoding = try #require(planner.plan().encodings[1])
        let body = ByteBuffer()
        let outcome = Array(payload.utf8).withUnsafeBytes {
            RowEncoder(rescuedColumn: "_rescued").encode($0, encoding, into: body)
        }
        guard case .written = outcome else {
            Issue.record("\(outcome)")
            return .null
        }
        return try JSONValue(parsing: body.array)
    }

    @Test func `rescued values join those of the source, sorted, as they stood in the payload`() throws {
        let row = try encode(
            #"{"_rescued":"{\"m\":\"infinity\"}","a":"ü\n","z":1.50}"#,
            [
                ShapeColumn(name: "_rescued", type: .string, role: .rescued), ShapeColumn(name: "a", type: .string),
                ShapeColumn(name: "z", type: .float64),
            ], [ColumnSchema("a", .int64), ColumnSchema("z", .date)])
        #expect(row["_rescued"]?.stringValue == #"{"a":"ü\n","m":"infinity","z":1.50}"#)
        #expect(row["a"] == .null)
    }

    @Test func `of a value that is rescued by the payload and by its column the payload's text stays`() throws {
        let row = try encode(
            #"{"_rescued":"{\"n\":\"9007199254740993.5\",\"o\":\"x\"}","n":9.007199254740994e+15}"#,
            [
                ShapeColumn(name: "_rescued", type: .string, role: .rescued), ShapeColumn(name: "n", type: .float64),
            ], [ColumnSchema("n", .int64)])
        #expect(row["n"] == .null)
        #expect(row["_rescued"]?.stringValue == #"{"n":"9007199254740993.5","o":"x"}"#)
    }

    @Test func `a payload that is not what its shape says is refused, never sent`() throws {
        var planner = TablePlanner(shapes: [shape([ShapeColumn(name: "a", type: .string)])])
        planner.existing = Self.metadata + [ColumnSchema("a", .int64)]
        let encoding = try #require(planner.plan().encodings[1])
        for payload in [#"{"b":"x"}"#, #"{"a":"x","b":1}"#, "{}", #"{"a":"x""#, "", #"{"a":"x"}}"#] {
            let body = ByteBuffer()
            let outcome = Array(payload.utf8).withUnsafeBytes {
                RowEncoder(rescuedColumn: "_rescued").encode($0, encoding, into: body)
            }
            guard case .refused("damaged", _) = outcome else {
                Issue.record("\(payload): \(outcome)")
                continue
            }
            #expect(body.count == 0)
        }
    }
}
