internal import JSONBytes

/// What a stream's notes hold about its watermark field.
extension FirestoreReader {
    /// The type class that the stream's watermark is known to have; nil before its first run.
    var watermarkClass: WatermarkClass? {
        run.note("class")?.stringValue.flatMap(WatermarkClass.init(rawValue:))
    }
}
