/// The files that `etlctl init` writes. Every one loads as it stands once its variables are set.
enum InitTemplate {
    static func text(for kind: SourceKind) -> String {
        """
        # etlctl: what to read, and where it goes. Every key is described in docs/configuration.md.
        # ${NAME} and ${NAME:-default} in values stand for environment variables.
        # Relative paths start at this file. Durations: 90s, 5m, 12h, 7d. Sizes: 512KiB, 10MiB, 20GiB.

        destination:                    # BigQuery
          project: my-project           # left out: GOOGLE_CLOUD_PROJECT
          dataset: raw_data
          location: EU                  # used when the dataset is created
          # credentials: keys/sa.json   # left out: Application Default Credentials
          # schema: freeze              # new fields go to _rescued instead of new columns
          # latest_views: false         # no <table>_latest with one row per key

        # spool:                        # the SQLite file between extract and ship
        #   path: var/spool.sqlite
        #   max_size: 20GiB             # extract waits at this size until ship has made room
        #   keep_delivered: 7d

        sources:
        \(source(for: kind))

        streams:
        \(stream(for: kind))

        """
    }

    /// What has to be in the environment before the file loads.
    static func variables(for kind: SourceKind) -> String {
        switch kind {
        case .postgres, .mysql: "it takes the password from SOURCE_PASSWORD."
        case .firestore, .bigquery, .files: "the comments say how."
        }
    }

    private static func source(for kind: SourceKind) -> String {
        switch kind {
        case .firestore:
            """
              app:
                type: firestore
                project: my-project
                # database: (default)
                # credentials: keys/reader.json
            """
        case .postgres:
            """
              shop:
                type: postgres
                url: "postgres://etl:${SOURCE_PASSWORD}@db.example:5432/shop?sslmode=verify-full"
                # statement_timeout: 10m    # left out: none
                # lock_timeout: 30s
            """
        case .mysql:
            """
              erp:
                type: mysql
                url: "mysql://etl:${SOURCE_PASSWORD}@erp.example:3306/erp"
                # statement_timeout: 10m    # left out: none
                # lock_timeout: 30s
            """
        case .bigquery:
            """
              warehouse:
                type: bigquery
                project: other-project
                location: US
                max_bytes_billed: 10GiB     # BigQuery refuses a query that would bill more
                # credentials: keys/reader.json
            """
        case .files:
            """
              drops:
                type: files
                url: "gs://my-bucket/exports/"    # or a folder, s3://bucket/, az://account/container/
                # endpoint: http://127.0.0.1:9000 # a compatible store
                # credentials: keys/reader.json
            """
        }
    }

    private static func stream(for kind: SourceKind) -> String {
        let common = """
                # table: raw_orders           # left out: the stream's name
                # exclude: [notes]            # or columns: [id, amount] to read only those
                # rename: {_id: id}
                # types: {amount: NUMERIC}
            """
        switch kind {
        case .firestore:
            return """
                  orders:
                    source: app
                    from: orders                  # or users/alice/orders, **/orders, users/*/orders
                    watermark: updated_at         # a field your program writes with every change;
                    # mode: changes               # without one, this finds what is new, changed or gone
                """ + "\n" + common
        case .postgres, .mysql:
            return """
                  orders:
                    source: \(kind == .postgres ? "shop" : "erp")
                    from: \(kind == .postgres ? "public" : "erp").orders           # or query: SELECT ...
                    watermark: updated_at         # a column that grows with every change;
                    # mode: changes               # without one, this compares every row by its key
                    # key: [id]                   # left out: the primary key
                """ + "\n" + common
        case .bigquery:
            return """
                  orders:
                    source: warehouse
                    from: sales.orders            # or query: SELECT ...
                    watermark: updated_at         # a column that grows with every change
                    # key: [id]
                """ + "\n" + common
        case .files:
            return """
                  orders:
                    source: drops
                    from: "orders/*.csv"          # a glob below the source's url
                    mode: incremental             # objects that are new or changed
                    # format: csv                 # or jsonl, parquet; left out: by the extension
                    # delimiter: ";"
                    # header: false               # columns are then c1, c2 ...
                    # key: [id]
                """ + "\n" + common
        }
    }
}
