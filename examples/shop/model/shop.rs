//! An online shop: twelve services, HTTP and gRPC, PostgreSQL, Redis, MongoDB, Kafka, a payment provider.

use super::system::{
    Batch, CACHE, Convention, DATABASE, Entry, External, Failure, Fault, Group, INTERNAL, NOT_FOUND, Operation, Place,
    Service, Statement, Step, Store, System, Topic, UNAVAILABLE, Via, tight, usual, wild,
};

const CARD_DECLINED: Failure = Failure {
    exception: "CardDeclinedError",
    message: "The card was declined",
    http: 402,
    grpc: 9,
    server_fault: false,
};
const PROVIDER: Failure =
    Failure { exception: "ProviderError", message: "503 Service Unavailable", http: 503, grpc: 14, server_fault: true };

const HGETALL: Statement = Statement { name: "HGETALL", operation: "HGETALL", collection: "", text: "HGETALL ?" };
const HSET: Statement = Statement { name: "HSET", operation: "HSET", collection: "", text: "HSET ? ? ?" };
const DEL: Statement = Statement { name: "DEL", operation: "DEL", collection: "", text: "DEL ?" };
const PRODUCTS: Statement = Statement {
    name: "SELECT products",
    operation: "SELECT",
    collection: "products",
    text: "SELECT id, name, price FROM products WHERE id = $1",
};
const LIST: Statement = Statement {
    name: "SELECT products",
    operation: "SELECT",
    collection: "products",
    text: "SELECT id, name, price FROM products ORDER BY name LIMIT 50",
};
const LEDGER: Statement = Statement {
    name: "INSERT shop.entries",
    operation: "INSERT",
    collection: "entries",
    text: "INSERT INTO entries (order_id, amount) VALUES (?, ?)",
};
const PROFILE: Statement =
    Statement { name: "find profiles", operation: "find", collection: "profiles", text: "{\"user\": \"?\"}" };

const fn http(
    name: &'static str,
    method: &'static str,
    route: &'static str,
    inner: &'static str,
    own_us: u32,
    steps: &'static [Step],
) -> Operation {
    let via = Via::Http { method, route };
    Operation { name, via, inner, own: usual(own_us), fails: 0.0005, failure: &INTERNAL, steps }
}

macro_rules! grpc {
    ($service:literal, $method:literal, $own:expr, $steps:expr) => {
        grpc!($service, $method, $own, $steps, "", 0.0002, &INTERNAL)
    };
    ($service:literal, $method:literal, $own:expr, $steps:expr, $inner:literal, $fails:literal, $failure:expr) => {
        Operation {
            name: concat!("shop.", $service, "/", $method),
            via: Via::Grpc { service: concat!("shop.", $service), method: $method },
            inner: $inner,
            own: $own,
            fails: $fails,
            failure: $failure,
            steps: $steps,
        }
    };
}

pub(crate) const SYSTEM: System = System {
    name: "shop",
    about: "online shop: 12 services, HTTP and gRPC, PostgreSQL, Redis, MongoDB, Kafka, a payment provider",
    namespace: Some("online-shop"),
    k8s_namespace: "shop",
    cluster: "shop",
    regions: &[("eu-west-1", 6), ("us-east-1", 4)],
    entries: &[
        Entry { service: "frontend", operation: "GET /", share: 30 },
        Entry { service: "frontend", operation: "GET /product/{id}", share: 35 },
        Entry { service: "frontend", operation: "GET /cart", share: 12 },
        Entry { service: "frontend", operation: "POST /cart", share: 13 },
        Entry { service: "frontend", operation: "POST /cart/checkout", share: 10 },
    ],
    services: &[
        Service {
            name: "frontend",
            language: "nodejs",
            convention: Convention::New,
            pods: 2,
            operations: &[
                http(
                    "GET /",
                    "GET",
                    "/",
                    "",
                    1800,
                    &[
                        Step::call("currency", "shop.CurrencyService/GetSupportedCurrencies"),
                        Step::call("product-catalog", "shop.ProductCatalogService/ListProducts").concurrent(),
                        Step::call("cart", "shop.CartService/GetCart").concurrent(),
                        Step::call("ad", "GET /ads").chance(0.8).concurrent().optional().timeout_ms(120),
                    ],
                ),
                http(
                    "GET /product/{id}",
                    "GET",
                    "/product/{id}",
                    "render",
                    2200,
                    &[
                        Step::call("product-catalog", "shop.ProductCatalogService/GetProduct"),
                        Step::call("currency", "shop.CurrencyService/Convert"),
                        Step::call("recommendation", "shop.RecommendationService/ListRecommendations").optional(),
                        Step::call("ad", "GET /ads").concurrent().optional().timeout_ms(120),
                    ],
                ),
                http(
                    "GET /cart",
                    "GET",
                    "/cart",
                    "",
                    1500,
                    &[
                        Step::call("cart", "shop.CartService/GetCart"),
                        Step::call("product-catalog", "shop.ProductCatalogService/GetProduct").times(1, 4),
                        Step::call("shipping", "POST /get-quote"),
                    ],
                ),
                http(
                    "POST /cart",
                    "POST",
                    "/cart",
                    "",
                    1200,
                    &[
                        Step::call("product-catalog", "shop.ProductCatalogService/GetProduct"),
                        Step::call("cart", "shop.CartService/AddItem"),
                    ],
                ),
                http(
                    "POST /cart/checkout",
                    "POST",
                    "/cart/checkout",
                    "",
                    2000,
                    &[Step::call("checkout", "shop.CheckoutService/PlaceOrder")],
                ),
            ],
        },
        Service {
            name: "cart",
            language: "dotnet",
            convention: Convention::Old,
            pods: 2,
            operations: &[
                grpc!("CartService", "GetCart", usual(500), &[Step::query("carts", &HGETALL)]),
                grpc!(
                    "CartService",
                    "AddItem",
                    usual(600),
                    &[Step::query("carts", &HGETALL), Step::query("carts", &HSET),]
                ),
                grpc!("CartService", "EmptyCart", usual(400), &[Step::query("carts", &DEL)]),
            ],
        },
        Service {
            name: "checkout",
            language: "go",
            convention: Convention::New,
            pods: 3,
            operations: &[grpc!(
                "CheckoutService",
                "PlaceOrder",
                usual(2500),
                &[
                    Step::call("cart", "shop.CartService/GetCart"),
                    Step::call("product-catalog", "shop.ProductCatalogService/GetProduct").times(1, 3),
                    Step::call("currency", "shop.CurrencyService/Convert").times(1, 3).concurrent(),
                    Step::call("shipping", "POST /get-quote"),
                    Step::call("payment", "shop.PaymentService/Charge"),
                    Step::call("shipping", "POST /ship-order"),
                    Step::call("cart", "shop.CartService/EmptyCart").optional(),
                    Step::call("email", "POST /send_order_confirmation").bare().optional(),
                    Step::publish("orders").optional(),
                ],
                "prepareOrder",
                0.001,
                &INTERNAL
            )],
        },
        Service {
            name: "payment",
            language: "nodejs",
            convention: Convention::New,
            pods: 2,
            operations: &[grpc!(
                "PaymentService",
                "Charge",
                usual(3000),
                &[Step::external("payment-provider").retries(1)],
                "charge",
                0.01,
                &CARD_DECLINED
            )],
        },
        Service {
            name: "shipping",
            language: "rust",
            convention: Convention::New,
            pods: 2,
            operations: &[
                http("POST /get-quote", "POST", "/get-quote", "", 4000, &[]),
                http("POST /ship-order", "POST", "/ship-order", "", 1500, &[]),
            ],
        },
        Service {
            name: "product-catalog",
            language: "go",
            convention: Convention::New,
            pods: 3,
            operations: &[
                grpc!(
                    "ProductCatalogService",
                    "GetProduct",
                    usual(300),
                    &[Step::query("catalog", &PRODUCTS)],
                    "",
                    0.002,
                    &NOT_FOUND
                ),
                grpc!("ProductCatalogService", "ListProducts", usual(900), &[Step::query("catalog", &LIST)]),
            ],
        },
        Service {
            name: "currency",
            language: "cpp",
            convention: Convention::Old,
            pods: 1,
            operations: &[
                grpc!("CurrencyService", "GetSupportedCurrencies", tight(150), &[]),
                grpc!("CurrencyService", "Convert", tight(120), &[]),
            ],
        },
        Service {
            name: "recommendation",
            language: "python",
            convention: Convention::New,
            pods: 2,
            operations: &[grpc!(
                "RecommendationService",
                "ListRecommendations",
                usual(3500),
                &[
                    Step::query("profiles", &PROFILE),
                    Step::call("product-catalog", "shop.ProductCatalogService/ListProducts"),
                ],
                "get_product_list",
                0.0005,
                &INTERNAL
            )],
        },
        Service {
            name: "ad",
            language: "java",
            convention: Convention::Old,
            pods: 1,
            operations: &[Operation {
                name: "GET /ads",
                via: Via::Http { method: "GET", route: "/ads" },
                inner: "getRandomAds",
                own: wild(2500),
                fails: 0.004,
                failure: &UNAVAILABLE,
                steps: &[],
            }],
        },
        Service {
            name: "email",
            language: "ruby",
            convention: Convention::Old,
            pods: 1,
            operations: &[http(
                "POST /send_order_confirmation",
                "POST",
                "/send_order_confirmation",
                "send_email",
                9000,
                &[],
            )],
        },
        Service {
            name: "accounting",
            language: "dotnet",
            convention: Convention::Old,
            pods: 1,
            operations: &[Operation {
                name: "orders process",
                via: Via::Messages { topic: "orders" },
                inner: "",
                own: usual(2000),
                fails: 0.001,
                failure: &INTERNAL,
                steps: &[Step::query("ledger", &LEDGER)],
            }],
        },
        Service {
            name: "fraud-detection",
            language: "java",
            convention: Convention::New,
            pods: 2,
            operations: &[Operation {
                name: "process orders",
                via: Via::Messages { topic: "orders" },
                inner: "",
                own: usual(15_000),
                fails: 0.002,
                failure: &INTERNAL,
                steps: &[Step::query("profiles", &PROFILE).times(1, 3)],
            }],
        },
    ],
    stores: &[
        Store {
            name: "catalog",
            system: "postgresql",
            namespace: "catalog",
            address: "postgres-catalog.shop.svc",
            port: 5432,
            latency: usual(1800),
            fails: 0.0003,
            failure: &DATABASE,
        },
        Store {
            name: "ledger",
            system: "postgresql",
            namespace: "ledger",
            address: "postgres-ledger.shop.svc",
            port: 5432,
            latency: usual(2600),
            fails: 0.0003,
            failure: &DATABASE,
        },
        Store {
            name: "carts",
            system: "redis",
            namespace: "",
            address: "redis-cart.shop.svc",
            port: 6379,
            latency: usual(350),
            fails: 0.0002,
            failure: &CACHE,
        },
        Store {
            name: "profiles",
            system: "mongodb",
            namespace: "profiles",
            address: "mongo-profiles.shop.svc",
            port: 27017,
            latency: wild(900),
            fails: 0.0002,
            failure: &UNAVAILABLE,
        },
    ],
    topics: &[Topic {
        name: "orders",
        address: "kafka.shop.svc",
        partitions: 6,
        names: ["send orders", "process orders", "orders publish", "orders process"],
        publish: usual(2200),
        dwell: usual(25_000),
        groups: &[
            Group { service: "accounting", operation: "orders process", batch: None },
            Group {
                service: "fraud-detection",
                operation: "process orders",
                batch: Some(Batch { size: (1, 12), linger_ms: 5000 }),
            },
        ],
    }],
    externals: &[External {
        name: "payment-provider",
        host: "api.payments.example.com",
        method: "POST",
        path: "/v1/charges",
        latency: usual(85_000),
        fails: 0.004,
        failure: &PROVIDER,
    }],
    faults: &[
        Fault::new("payment-latency", "the payment service takes 800 ms longer", Place::Service("payment"))
            .slower(1.0, 800.0),
        Fault::new(
            "provider-down",
            "the payment provider is slow and fails 6 times in 10",
            Place::External("payment-provider"),
        )
        .slower(4.0, 500.0)
        .failing(0.6),
        Fault::new(
            "catalog-database",
            "PostgreSQL `catalog` is 20 times slower and times out now and then",
            Place::Store("catalog"),
        )
        .slower(20.0, 0.0)
        .failing(0.02),
        Fault::new("orders-lag", "messages of topic `orders` wait 45 s longer", Place::Topic("orders"))
            .slower(1.0, 45_000.0),
        Fault::new("bad-release", "version 1.5.0 of checkout fails 15 % of its calls", Place::Service("checkout"))
            .slower(1.2, 0.0)
            .failing(0.15)
            .in_version("1.5.0"),
        Fault::new("region-slow", "everything in us-east-1 takes five times as long", Place::Everywhere)
            .slower(5.0, 0.0)
            .in_region("us-east-1"),
    ],
    skewed: "shipping",
};
