"""Losses between frames; one file a loss, all in `keras.ops`.

They share their arguments:

    pred, target: [N, H, W, C] (any rank from 2 on) in the same range; narrow floats are widened to float32.
    reduction: 'none', or what becomes of the values at the elements: 'mean', 'sum', or 'batchmean', the sum
        over H, W and C, averaged over the batch.
    weight: [N, H, W, C] or [N, H, W, 1], multiplied with the values. 'mean' then divides by the sum of the
        weights, as BasicSR does.
"""
