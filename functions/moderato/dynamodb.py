"""The store on AWS: everything that is kept, in one DynamoDB table."""

from moderato.dynamodb_batches import DynamoBatches
from moderato.dynamodb_reviews import DynamoReviews
from moderato.dynamodb_schema import EXPIRES, table_definition

__all__ = ["EXPIRES", "DynamoStore", "table_definition"]


class DynamoStore(DynamoReviews, DynamoBatches):
    """`moderato.store.Store` in one DynamoDB table; any number of threads and functions may use it.

    A decision, or a text that has none, makes a case; all that is ever said of it lies in one partition, which the
    decision's id or the review's names. So it is read at once, up to date, and erased whole.

        pk               sk                      holds
        case#<review>    decision                a Decision, or `erased`
        case#<review>    review                  a Review, or `erased`: then all else of the case counts as gone
        case#<review>    feedback#<feedback>     a Feedback
        case#<review>    annotation#<annotator>  an Annotation
        case#<review>    label                   a Label
        case#<review>    reports                 by which an erasure sees that feedback on a text came meanwhile
        feedback#<id>    request                 that feedback was given: what is answered to a retry, or `erased`
        job#<job>        batch                   a Batch; `is_claimed` = its list of reviews is final
        batches          open                    the job whose batch is open
        annotators       <annotator>             that somebody ever answered
        retraining       state                   whose turn it is to retrain, and the batch of labels on its way

    `record` is the record as JSON. What changes of it is in attributes that win over it: `status` and `job` of a
    review, `dataset` of a label, `status` of a batch. `write` is the token of the call that wrote an item last.
    `expires`, in seconds since 1970, is the table's time to live; DynamoDB takes up to two days, so that every read
    looks at it too.

    The index `listings` has `listing` and `position` (time and id) as keys, and no text:

        decisions                   decisions
        reviews#<status>#<reason>   reviews
        annotations#<annotator>     annotations
        labels                      labels
        erased                      ids of what was erased; these items never expire

    Every write is a transaction with its conditions, also a lone one: two who write meet at the same door. A partition
    of the index takes 1,000 writes a second; decisions that are stored stay far below.
    """
