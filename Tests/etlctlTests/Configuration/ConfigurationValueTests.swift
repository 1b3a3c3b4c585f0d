import Testing

@testable import etlctl

@Suite struct ConfigurationValueTests {
    @Test(
        arguments: [
            ("0", Duration.zero), ("0s", .zero), ("250ms", .milliseconds(250)), ("90s", .seconds(90)),
            ("5m", .seconds(300)), ("12h", .seconds(43_200)), ("7d", .seconds(604_800)),
        ])
    func `a duration is read`(_ text: String, _ duration: Duration) {
        #expect(ValueText.duration(text) == duration)
    }

    @Test(arguments: [
        "", "5", "s", "-5m", "5 m", "5M", "1.5h", "1h30m", "99999999999999999999d", "9223372036854775807d",
    ])
    func `what is no duration is refused`(_ text: String) {
        #expect(ValueText.duration(text) == nil)
    }

    @Test(arguments: [("1B", 1), ("512KiB", 524_288), ("10MiB", 10_485_760), ("20GiB", 21_474_836_480), ("0B", 0)])
    func `a size is read and written`(_ text: String, _ bytes: Int64) {
        #expect(ValueText.size(text) == bytes)
        #expect(ValueText.text(ofBytes: bytes) == text)
    }

    @Test(arguments: ["", "5", "5MB", "5 MiB", "-1B", "1.5GiB", "5mib", "9223372036854775807TiB"])
    func `what is no size is refused`(_ text: String) {
        #expect(ValueText.size(text) == nil)
    }

    @Test func `durations of arguments are shown as they would be written`() {
        for text in ["60s", "10m", "2h", "7d", "250ms", "0s"] {
            let argument = DurationArgument(argument: text)
            #expect(argument?.description == (text == "60s" ? "1m" : text))
        }
        #expect(DurationArgument(argument: "soon") == nil)
    }

    @Test func `variables expand where they stand`() throws {
        let expansion = VariableExpansion(environment: ["NAME": "x", "EMPTY": "", "ODD": "${NAME}: [}"])
        #expect(try expansion.expand("a-${NAME}-${NAME}") == "a-x-x")
        #expect(try expansion.expand("${NONE:-d}${EMPTY:-e}${NAME:-f}") == "dex")
        #expect(try expansion.expand("${NONE:-}") == "")
        #expect(try expansion.expand("${EMPTY}") == "")
        #expect(try expansion.expand("${NONE:-a:-b}") == "a:-b")
        #expect(try expansion.expand("$${NAME} costs $5, $NAME") == "${NAME} costs $5, $NAME")
        // What a variable holds is not expanded again.
        #expect(try expansion.expand("${ODD}") == "${NAME}: [}")
    }

    @Test(arguments: ["${NONE}", "${", "${NAME", "${}", "${1A}", "${NA ME}", "${NAME:=x}"])
    func `a variable that can't be expanded is refused`(_ text: String) {
        #expect(throws: VariableExpansion.Problem.self) {
            try VariableExpansion(environment: ["NAME": "x"]).expand(text)
        }
    }

    @Test func `an unset variable is an error with its name and line`() throws {
        let failure = try rejection(of: stream("source: app", "from: ${COLLECTION}"))
        #expect(
            failure.message
                == "etl.yaml: streams.memos.from: the environment variable COLLECTION is not set (line 13)")
        #expect(failure.hint == "Set COLLECTION, or give a default: ${COLLECTION:-value}.")
    }

    @Test func `what a variable holds can't change the structure`() throws {
        let configuration = try decode(
            stream("source: app", "from: ${NAME}"), environment: ["NAME": "memos\n    watermark: x"])
        #expect(configuration.streams[0].input == .from("memos\n    watermark: x"))
        #expect(configuration.streams[0].watermark == nil)
    }

    @Test func `a variable stands for numbers, flags and names too, quoted or not`() throws {
        let configuration = try decode(
            """
            destination:
              project: ${PROJECT}
              dataset: d
              max_in_flight: ${FLIGHT:-3}
              rows_per_second: "${RATE}"
              create: ${CREATE}
              schema: ${POLICY}
              credentials: ${KEY:-}
            """, environment: ["PROJECT": "123", "RATE": "70", "CREATE": "false", "POLICY": "freeze"])
        #expect(configuration.destination.project == "123")
        #expect(configuration.destination.maximumInFlight == 3)
        #expect(configuration.destination.rowsPerSecond == 70)
        #expect(!configuration.destination.createsMissing)
        #expect(configuration.destination.schemaPolicy == .freeze)
        #expect(configuration.destination.credentials == nil)
    }

    @Test func `keys without a value are as if they were not there`() throws {
        let configuration = try decode(
            """
            spool:
            destination:
              project: p
              dataset: d
              location: ~
              max_in_flight: null
            sources:
            streams:
            """)
        #expect(configuration.destination.location == nil)
        #expect(configuration.destination.maximumInFlight == 8)
    }

    @Test func `streams share what an anchor holds`() throws {
        let configuration = try decode(
            everySource + """
                streams:
                  a: &common
                    source: app
                    from: a
                    watermark: at
                    parallel: 4
                  b:
                    <<: *common
                    from: b
                """)
        let second = try #require(configuration.stream(named: "b"))
        #expect(second.input == .from("b"))
        #expect(second.watermark == "at")
        #expect(second.parallel == 4)
    }

    @Test func `the nearest name is the one that was meant`() {
        let names = ConfigurationKey.Destination.all.map(\.name)
        #expect(NearestName.of("max_row_per_request", among: names) == "max_rows_per_request")
        #expect(NearestName.of("Dataset", among: names) == "dataset")
        #expect(NearestName.of("lcoation", among: names) == "location")
        #expect(NearestName.distance("ab", "ba") == 1)
        #expect(NearestName.distance("", "abc") == 3)
        #expect(NearestName.of("x", among: []) == nil)
    }
}
