//! The document and the pages that show it.

use std::sync::Arc;

use super::*;
use axum::http::{Request, StatusCode};
use headwater_schemas::{EnumType, Field, FieldType, RecordType, Type, Value};
use tower::ServiceExt;

fn field(name: &str, ty: FieldType, default: Option<Value>) -> Field {
    Field { name: name.into(), aliases: Vec::new(), ty, default, doc: None }
}

#[test]
fn types_are_described_as_their_json_is() {
    let colour = EnumType {
        name: "shop.Colour".into(),
        aliases: Vec::new(),
        symbols: vec!["RED".into(), "BLUE".into()],
        default: None,
    };
    let line = RecordType {
        name: "shop.Line".into(),
        aliases: Vec::new(),
        fields: vec![
            field("product", FieldType::required(Type::String), None),
            field("note", FieldType::nullable(Type::String), Some(Value::Null)),
            field("colour", FieldType::nullable(Type::Enum(Arc::new(colour))), None),
            field("price", FieldType::required(Type::Decimal { precision: 9, scale: 2 }), None),
        ],
        doc: Some("One line.".into()),
    };
    let mut document = Document::new("shop", "1");
    let lines = Type::Array(Arc::new(FieldType::required(Type::Record(Arc::new(line)))));
    let schema = document.schemas.of(&FieldType::nullable(lines));
    assert_eq!(schema, json!({ "type": ["array", "null"], "items": { "$ref": "#/components/schemas/shop.Line" } }));
    let built = document.build();
    let line = &built["components"]["schemas"]["shop.Line"];
    assert_eq!(line["required"], json!(["product", "colour", "price"]));
    assert_eq!(line["additionalProperties"], json!(false));
    assert_eq!(line["description"], json!("One line."));
    assert_eq!(line["properties"]["note"]["type"], json!(["string", "null"]));
    assert_eq!(
        line["properties"]["colour"],
        json!({ "anyOf": [{ "$ref": "#/components/schemas/shop.Colour" }, { "type": "null" }] })
    );
    assert_eq!(built["components"]["schemas"]["shop.Colour"]["enum"], json!(["RED", "BLUE"]));
}

#[test]
fn an_operation_says_who_may_and_what_may_come() {
    let mut document = Document::new("shop", "1");
    let operation = Operation::new("post", "/orders/{order_id}", "place_order")
        .tag("order")
        .parameter(Parameter::path("order_id", json!({ "type": "string" })))
        .body(Body::new("application/json", json!({ "type": "object" })))
        .answer(Answer::new(202, "Accepted.").position())
        .answer(Answer::problem(422, "Fields are wrong."))
        .secured();
    document.add(operation);
    let built = document.build();
    assert_eq!(built["openapi"], json!("3.1.0"));
    assert_eq!(built["tags"], json!([{ "name": "order" }]));
    let operation = &built["paths"]["/orders/{order_id}"]["post"];
    let statuses: Vec<&String> = operation["responses"].as_object().unwrap().keys().collect();
    assert_eq!(statuses, ["202", "422", "401", "403"]);
    assert!(operation["responses"]["202"]["headers"]["Headwater-Position"].is_object());
    assert_eq!(operation["requestBody"]["required"], json!(true));
}

#[tokio::test]
async fn the_document_and_its_page_are_served_from_here() {
    let document = Document::new("shop", "1").build();
    let app = routes(&document);
    let ask = async |path: &str| {
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts, axum::body::to_bytes(body, 10 << 20).await.unwrap())
    };
    let (parts, body) = ask("/openapi.json").await;
    assert_eq!(parts.headers["content-type"], "application/json");
    assert_eq!(serde_json::from_slice::<Json>(&body).unwrap(), document);
    let (parts, _) = ask("/docs").await;
    assert!(parts.status.is_redirection());
    let (parts, body) = ask("/docs/").await;
    assert_eq!(parts.status, StatusCode::OK);
    assert!(parts.headers["content-security-policy"].to_str().unwrap().contains("script-src 'self'"));
    let html = String::from_utf8(body.to_vec()).unwrap();
    assert!(!html.contains("//unpkg.com") && !html.contains("https://cdn"), "{html}");
    let (parts, script) = ask("/docs/swagger-initializer.js").await;
    assert_eq!(parts.status, StatusCode::OK);
    assert!(String::from_utf8_lossy(&script).contains("/openapi.json"));
    assert_eq!(ask("/docs/none.js").await.0.status, StatusCode::NOT_FOUND);
}
