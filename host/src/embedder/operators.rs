//! The operators of our graph that ONNX Runtime does not have: what `kernels` and `attention` compute, as ONNX Runtime
//! calls it.
//!
//! With `runtime` and `product` a user of `ort`. A call that does not fit fails and never panics, since it comes from
//! foreign code. Knows shapes; nothing of models or texts.

use super::attention::{self, Scratch};
use super::kernels::{self, Norm};
use super::onnx::{ATTENTION, BIAS_GELU, OWN_DOMAIN, SKIP_NORM};
use ort::operator::{
    BoxedKernel, ComputeContext, KernelContext, Operator, OperatorDomain, OperatorInput,
    OperatorOutput, ShapeInferenceContext,
};
use ort::value::{TensorElementType, ValueRef};

/// All of them; a session that runs our graph is given this.
pub(super) fn domain() -> ort::Result<OperatorDomain> {
    let masked = [[FLOATS; 4].as_slice(), &[TensorElementType::Int64]].concat();
    OperatorDomain::new(OWN_DOMAIN)?
        .add(Ours {
            name: BIAS_GELU,
            inputs: vec![FLOATS; 2],
            kernel: bias_gelu,
        })?
        .add(Ours {
            name: SKIP_NORM,
            inputs: vec![FLOATS; 5],
            kernel: skip_norm,
        })?
        .add(Ours {
            name: ATTENTION,
            inputs: masked,
            kernel: attention,
        })
}

const FLOATS: TensorElementType = TensorElementType::Float32;

/// An operator with one output, which has the shape of the first input.
struct Ours {
    name: &'static str,
    inputs: Vec<TensorElementType>,
    kernel: for<'attr> fn(&KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>>,
}

impl Operator for Ours {
    type Kernel<'attr> = BoxedKernel<'attr>;

    fn name(&self) -> &str {
        self.name
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        self.inputs.iter().copied().map(OperatorInput::required)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(FLOATS)]
    }

    fn create_kernel<'attr>(&self, node: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
        (self.kernel)(node)
    }

    fn infer_shape(&self, call: &mut ShapeInferenceContext) -> ort::Result<()> {
        match call.inputs().first() {
            Some(first) => call.set_output(0, first),
            None => Err(misfit()),
        }
    }
}

/// `x[…, n], bias[n] -> [.., n]`.
fn bias_gelu<'attr>(_: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
    Ok(Box::new(|call: &ComputeContext| {
        let [x, bias] = inputs(call)?;
        let (shape, x) = x.try_extract_tensor::<f32>()?;
        let (_, bias) = bias.try_extract_tensor::<f32>()?;
        check(shape.last() == Some(&(bias.len() as i64)))?;
        let mut out = call.output(0, shape.clone())?.ok_or_else(misfit)?;
        kernels::bias_gelu(x, bias, out.try_extract_tensor_mut::<f32>()?.1);
        Ok(())
    }))
}

/// `x[…, n], skip[…, n], bias[n], weight[n], shift[n] -> [.., n]`, with the attribute `epsilon`.
fn skip_norm<'attr>(node: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
    let epsilon = node.get::<f32>("epsilon").ok_or_else(misfit)?;
    Ok(Box::new(move |call: &ComputeContext| {
        let [x, skip, bias, weight, shift] = inputs(call)?;
        let (shape, x) = x.try_extract_tensor::<f32>()?;
        let (_, skip) = skip.try_extract_tensor::<f32>()?;
        let norm = Norm {
            bias: bias.try_extract_tensor::<f32>()?.1,
            weight: weight.try_extract_tensor::<f32>()?.1,
            shift: shift.try_extract_tensor::<f32>()?.1,
            epsilon,
        };
        check(shape.last() == Some(&(norm.bias.len() as i64)))?;
        check(skip.len() == x.len())?;
        check(norm.weight.len() == norm.bias.len() && norm.shift.len() == norm.bias.len())?;
        let mut out = call.output(0, shape.clone())?.ok_or_else(misfit)?;
        kernels::skip_norm(x, skip, &norm, out.try_extract_tensor_mut::<f32>()?.1);
        Ok(())
    }))
}

/// `queries[b, s, n], keys[b, s, n], values[b, s, n], bias[3 n], mask[b, s] -> [b, s, n]`, with the attribute `heads`.
/// In the mask, padding is 0, and comes last.
fn attention<'attr>(node: &KernelContext<'attr>) -> ort::Result<BoxedKernel<'attr>> {
    let heads = node.get::<i64>("heads").ok_or_else(misfit)?;
    let heads = usize::try_from(heads).map_err(|_| misfit())?;
    let (mut scratch, mut lengths) = (Scratch::default(), vec![]);
    Ok(Box::new(move |call: &ComputeContext| {
        attend(call, heads, &mut scratch, &mut lengths)
    }))
}

fn attend(
    call: &ComputeContext,
    heads: usize,
    scratch: &mut Scratch,
    lengths: &mut Vec<usize>,
) -> ort::Result<()> {
    let [queries, keys, values, bias, mask] = inputs(call)?;
    let (shape, queries) = queries.try_extract_tensor::<f32>()?;
    let [_, longest, width] = **shape else {
        return Err(misfit());
    };
    let size = |dimension: i64| usize::try_from(dimension).map_err(|_| misfit());
    let it = attention::Attention {
        queries,
        keys: keys.try_extract_tensor::<f32>()?.1,
        values: values.try_extract_tensor::<f32>()?.1,
        bias: bias.try_extract_tensor::<f32>()?.1,
        longest: size(longest)?,
        width: size(width)?,
        heads,
    };
    let mask = mask.try_extract_tensor::<i64>()?.1;
    check(it.fits() && mask.len() * it.width == queries.len())?;
    lengths.clear();
    let texts = mask.chunks_exact(it.longest.max(1));
    lengths.extend(texts.map(|text| text.iter().filter(|&&token| token != 0).count()));
    let mut out = call.output(0, shape.clone())?.ok_or_else(misfit)?;
    attention::attend(
        &it,
        lengths,
        scratch,
        out.try_extract_tensor_mut::<f32>()?.1,
    );
    Ok(())
}

fn inputs<const N: usize>(call: &ComputeContext) -> ort::Result<[ValueRef<'_>; N]> {
    let mut inputs = Vec::with_capacity(N);
    for number in 0..N {
        inputs.push(call.input(number)?.ok_or_else(misfit)?);
    }
    inputs.try_into().map_err(|_| misfit())
}

fn check(fits: bool) -> ort::Result<()> {
    if fits { Ok(()) } else { Err(misfit()) }
}

fn misfit() -> ort::Error {
    ort::Error::new("an operator of the graph got what does not fit it")
}
