% MATLAB's psnr and ssim of 8-bit RGB images, restated from their documentation: ssim takes the three channels as a
% volume, under a Gaussian of radius 1.5 (11 x 11 x 11, edges replicated), and gives the mean over all of its map.
%   octave-cli matlab_psnr_ssim.m IMAGE1 TRUTH1 IMAGE2 TRUTH2 ...
1;

function b = smoothed(a)
  g = exp(-(-5:5) .^ 2 / (2 * 1.5 ^ 2));
  g = g / sum(g);
  window = reshape(kron(g, g' * g), 11, 11, 11);
  s = size(a);
  at = @(n) min(max(-4:(n + 5), 1), n);
  b = convn(a(at(s(1)), at(s(2)), at(s(3))), window, 'valid');
end

function v = ssim_of(A, ref)
  c1 = (0.01 * 255) ^ 2;
  c2 = (0.03 * 255) ^ 2;
  mx = smoothed(A);
  my = smoothed(ref);
  sx = smoothed(A .^ 2) - mx .^ 2;
  sy = smoothed(ref .^ 2) - my .^ 2;
  sxy = smoothed(A .* ref) - mx .* my;
  map = ((2 * mx .* my + c1) .* (2 * sxy + c2)) ./ ((mx .^ 2 + my .^ 2 + c1) .* (sx + sy + c2));
  v = mean(map(:));
end

files = argv();
for n = 1:2:numel(files)
  A = double(imread(files{n}));
  ref = double(imread(files{n + 1}));
  printf('%.12f %.12f\n', 10 * log10(255 ^ 2 / mean((A(:) - ref(:)) .^ 2)), ssim_of(A, ref));
end
