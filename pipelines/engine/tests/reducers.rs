//! Every reducer against an oracle: the value recomputed from the whole list of values, whatever the batches, the
//! partitions and the parts that rows are kept in.

mod reducers {
    mod cases;
    mod limits;
    mod numbers;
    mod properties;
    mod world;
}
