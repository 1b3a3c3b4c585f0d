internal import Spool

/// One reading of one object from its beginning to its end, perhaps by several processes one after the other.
struct ObjectReading: Equatable {
    /// The object's number in the spool.
    var number: Int64
    /// Different for every reading of any object.
    var reading: Int64
    /// Of equal records only the first counts: they have the same key.
    var holdsNoEquals = false
}

extension RunContext {
    /// Readings that one run can begin of one object, each after the object was replaced under its hands.
    private static let readingsPerRun: Int64 = 4096

    /// The number of this run's n-th reading of an object.
    func reading(_ attempt: Int) -> Int64 { run.number * Self.readingsPerRun + Int64(attempt) % Self.readingsPerRun }

    /// True for a reading of this run.
    func owns(_ reading: Int64) -> Bool { reading / Self.readingsPerRun == run.number }
}
