import Synchronization
import Testing

@testable import Ship

struct PolicyTests {
    @Test func `delays are drawn up to a bound that doubles to a minute`() {
        let policy = RetryPolicy()
        let bounds = (1...9).map { policy.delay(attempt: $0, fraction: 1) }
        #expect(
            bounds
                == [0.5, 1, 2, 4, 8, 16, 32, 60, 60].map { Duration.milliseconds(Int($0 * 1000)) })
        #expect(policy.delay(attempt: 5, fraction: 0) == .zero)
        #expect(policy.delay(attempt: 2, fraction: 0.25) == .milliseconds(250))
        #expect(policy.delay(attempt: 100_000, fraction: 1) == .seconds(60))
    }

    @Test func `never less than the server asks for, and not for ever`() {
        let policy = RetryPolicy()
        #expect(policy.delay(attempt: 1, retryAfter: .seconds(30), fraction: 0) == .seconds(30))
        #expect(policy.delay(attempt: 8, retryAfter: .seconds(1), fraction: 1) == .seconds(60))
        #expect(policy.delay(attempt: 1, retryAfter: .seconds(1_000_000), fraction: 0) == .seconds(3600))
    }

    @Test(arguments: [
        ("http://127.0.0.1:9050", "loopback"), ("http://127.8.9.10:1/", "loopback"),
        ("HTTP://LocalHost:80", "loopback"),
        ("http://[::1]:9050", "loopback"), ("http://bq.localhost:1", "loopback"),
        ("https://bigquery.googleapis.com/", "https://bigquery.googleapis.com"),
        ("https://BigQuery.googleapis.com", "https://bigquery.googleapis.com"),
        ("http://127.example.org", "http://127.example.org"), ("http://10.0.0.1:9050", "http://10.0.0.1:9050"),
        ("http://127.0.0.1.example.org", "http://127.0.0.1.example.org"),
    ])
    func `loopback endpoints count as one`(_ url: String, _ expected: String) {
        #expect(normalizedEndpoint(url) == expected)
    }

    // MARK: The budget

    @Test func `refusals halve the requests at once, successes bring them back`() throws {
        let budget = DeliveryBudget(maximumInFlight: 8, maximumRequestBytes: 1000)
        budget.setActive(1, true)
        let rounds = try (0..<8).map { _ in try #require(budget.take(for: 1)) }
        #expect(budget.take(for: 1) == nil)
        // Eight refusals of one round are one sign, not eight.
        for round in rounds { budget.give(round, of: 1, .refused) }
        #expect(budget.limit == 4)
        let next = try #require(budget.take(for: 1))
        budget.give(next, of: 1, .refused)
        #expect(budget.limit == 2)
        for _ in 0..<200 {
            let round = try #require(budget.take(for: 1))
            budget.give(round, of: 1, .accepted)
        }
        #expect(budget.limit == 8)
    }

    @Test func `a table that is stuck leaves the others their share`() throws {
        let budget = DeliveryBudget(maximumInFlight: 8, maximumRequestBytes: 1000)
        budget.setActive(1, true)
        budget.setActive(2, true)
        var taken = 0
        while budget.take(for: 1) != nil { taken += 1 }
        #expect(taken == 4)
        #expect(budget.take(for: 2) != nil)
        var granted = 0
        while case let more = budget.reserve(2000, least: 1000, for: 1), more > 0 { granted += more }
        #expect(granted <= budget.maximumBytes / 2)
        #expect(budget.reserve(2000, least: 1000, for: 2) > 0)
    }

    @Test func `many tables never wait for each other without end`() throws {
        let budget = DeliveryBudget(maximumInFlight: 2, maximumRequestBytes: 1000)
        for table in 1...50 { budget.setActive(table, true) }
        var waiting = Array(1...50)
        var served: [Int] = []
        while !waiting.isEmpty {
            let before = waiting.count
            for table in waiting where budget.reserve(1000, least: 1000, for: table) > 0 {
                if let round = budget.take(for: table) {
                    budget.give(round, of: table, .accepted)
                    served.append(table)
                }
                budget.release(1000, of: table)
            }
            waiting.removeAll { served.contains($0) }
            #expect(waiting.count < before)
            if waiting.count == before { return }
        }
    }

    @Test func `room given back before the wait began is not missed`() async {
        let budget = DeliveryBudget(maximumInFlight: 1, maximumRequestBytes: 1000)
        let seen = budget.returns
        if let round = budget.take(for: 1) { budget.give(round, of: 1, .accepted) }
        await budget.waitForRoom(2, since: seen)
    }

    @Test func `rows a second are spread over the second`() {
        let control = ShipControl(follows: false, rowLimit: nil, rowsPerSecond: 1000)
        #expect(control.delay(toSend: 500, at: .seconds(10)) == .zero)
        #expect(control.delay(toSend: 500, at: .seconds(10)) == .milliseconds(500))
        #expect(control.delay(toSend: 500, at: .milliseconds(10_500)) == .zero)
    }

    @Test func `a limit on rows is shared and can be given back`() {
        let control = ShipControl(follows: false, rowLimit: 700, rowsPerSecond: 0)
        #expect(control.takeRows(upTo: 500) == 500)
        #expect(control.takeRows(upTo: 500) == 200)
        #expect(control.isAtLimit)
        control.giveBackRows(100)
        #expect(control.takeRows(upTo: 500) == 100)
    }
}
