"""Maps of torch.func in eager mode, whose values and derivatives are those of a loop."""

import pytest
import torch
from mapping import (
    CONSTANT,
    FEW,
    SMOOTH,
    assert_all_close,
    cases_for,
    differentiable,
    looped,
    patterns,
    results_of,
    stacked,
    total,
)


@pytest.mark.parametrize("name", [*SMOOTH, *CONSTANT])
def test_values_are_those_of_a_loop(name, simd):
    function, tensors = cases_for(simd)[name]
    for dims in [(0, 0, 0), (0, None, None)] if name == "kmeans_update" else patterns(tensors):
        given = stacked(tensors, dims)
        assert_all_close(torch.vmap(function, dims)(*given), looped(function, given, dims))


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_are_those_of_a_loop(name, backend):
    function, tensors = cases_for(backend)[name]
    value, places = total(function), differentiable(name, tensors)
    one_place = places[len(places) // 2]

    def slopes(*row):
        leaves = [t.detach().clone().requires_grad_(i in places) for i, t in enumerate(row)]
        return torch.autograd.grad(value(*leaves), [leaves[place] for place in places], materialize_grads=True)

    for dims in patterns(tensors):
        given = stacked(tensors, dims)
        expected = looped(slopes, given, dims)
        assert_all_close(torch.vmap(torch.func.grad(value, tuple(places)), dims)(*given), expected)
        assert_all_close(
            torch.vmap(torch.func.grad(value, one_place), dims)(*given), [expected[places.index(one_place)]]
        )


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_through_a_map_are_those_through_a_loop(name):
    """By grad(vmap(...)), and by backward() from outside."""
    function, tensors = SMOOTH[name]
    places = differentiable(name, tensors)
    for dims in patterns(tensors):
        given = stacked(tensors, dims)

        def mapped(*values, dims=dims):
            return torch.vmap(total(function), dims)(*values).square().sum()

        def in_a_loop(*values, dims=dims):
            return looped(total(function), values, dims)[0].square().sum()

        leaves = [t.clone().requires_grad_(i in places) for i, t in enumerate(given)]
        expected = torch.autograd.grad(in_a_loop(*leaves), [leaves[p] for p in places], materialize_grads=True)
        assert_all_close(torch.func.grad(mapped, tuple(places))(*given), expected)
        mapped(*leaves).backward()
        found = [leaves[p].grad if leaves[p].grad is not None else torch.zeros_like(leaves[p]) for p in places]
        assert_all_close(found, expected)


@pytest.mark.parametrize("name", FEW)
def test_maps_of_maps(name, backend):
    function, tensors = SMOOTH[name]
    places = differentiable(name, tensors)
    gradient = torch.func.grad(total(function), tuple(places))
    count = len(tensors)
    for inner, outer in (
        ((0,) * count, (0,) * count),
        (tuple(i % 2 or None for i in range(count)), (0,) * count),
        ((0, *(None,) * (count - 1)), (None, *(0,) * (count - 1))),
        ((None, *(0,) * (count - 1)), (1, *(None,) * (count - 1))),
    ):
        given = stacked(stacked(tensors, inner), outer, 2)
        for one in (function, gradient):
            found = torch.vmap(torch.vmap(one, inner), outer)(*given)
            assert_all_close(found, looped(lambda *t, one=one, inner=inner: looped(one, t, inner), given, outer, 2))


@pytest.mark.parametrize("name", FEW)
def test_jacobians(name, backend):
    function, tensors = SMOOTH[name]

    def first_result(*values):
        return results_of(function(*values))[0]

    for place in differentiable(name, tensors):
        found = torch.func.jacrev(first_result, place)(*tensors)

        def of_one(value, place=place):
            return first_result(*tensors[:place], value, *tensors[place + 1 :])

        assert_all_close(found, [torch.autograd.functional.jacobian(of_one, tensors[place])])
        assert_all_close(torch.func.jacrev(first_result, place, chunk_size=2)(*tensors), [found])


@pytest.mark.parametrize("name", FEW)
def test_second_derivatives(name):
    function, tensors = SMOOTH[name]
    value, places = total(function), differentiable(name, tensors)

    def of_some(*chosen):
        by_place = dict(zip(places, chosen, strict=True))
        return value(*(by_place.get(i, t) for i, t in enumerate(tensors)))

    chosen = tuple(tensors[place] for place in places)
    arguments = tuple(range(len(places)))
    expected = torch.autograd.functional.hessian(of_some, chosen)
    jacrev, vmap = torch.func.jacrev, torch.vmap
    found = jacrev(jacrev(of_some, arguments), arguments)(*chosen)
    of_several = vmap(jacrev(jacrev(of_some, arguments), arguments))(*(t.expand(2, *t.shape) for t in chosen))
    forward = torch.func.hessian(of_some, arguments)(*chosen)
    for i, blocks in enumerate(expected):
        assert_all_close(found[i], blocks)
        assert_all_close(forward[i], blocks)
        assert_all_close([block[1] for block in of_several[i]], blocks)


@pytest.mark.parametrize("name", FEW)
def test_gradients_of_mapped_gradients(name):
    """As in a penalty on gradients of each sample: from outside, of what torch.func has found."""
    function, tensors = SMOOTH[name]
    places = differentiable(name, tensors)
    dims = (0,) * len(tensors)
    leaves = [t.requires_grad_(i in places) for i, t in enumerate(stacked(tensors, dims))]
    chosen = [leaves[place] for place in places]

    def penalty(slopes):
        return sum(slope.square().sum() for slope in slopes)

    def in_a_loop(*row):
        return torch.autograd.grad(
            total(function)(*row), [row[place] for place in places], create_graph=True, materialize_grads=True
        )

    expected = torch.autograd.grad(penalty(looped(in_a_loop, leaves, dims)), chosen, materialize_grads=True)
    found = penalty(torch.vmap(torch.func.grad(total(function), tuple(places)))(*leaves))
    assert_all_close(torch.autograd.grad(found, chosen, materialize_grads=True), expected)
